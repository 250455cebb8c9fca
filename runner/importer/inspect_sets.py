"""Reads an Inspect dataset or task that is importable here: `package.module:function` or `package/task`.

The function is called with the arguments that the user gives and returns a task or a dataset. Nothing of Inspect is imported
by name: what it returns is asked for `dataset` and for its samples. Only samples are read. What a task's
solvers add (system prompts, tools, choices written out) is theirs, and is said to be missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from runner.config.source import nearest
from runner.core.errors import ConfigError
from runner.importer.draft import Draft, Fault, Fields, Unusable
from runner.importer.records import read_record

_KEPT = ("id", "input", "target", "choices", "metadata", "files", "setup", "sandbox")


def names_code(source: str) -> bool:
    """Return whether a source can only mean a function."""
    module, colon, function = source.rpartition(":")
    dotted = module.replace(".", "").replace("_", "").isalnum()
    return bool(colon) and dotted and function.isidentifier()


def read_inspect(
    source: str, fields: Fields, arguments: Mapping[str, object]
) -> Iterator[Draft | Fault]:
    """Yield the drafts of a task's dataset.

    Args:
        source: `package.module:function` or `package/task`.
        fields: those that the user named.
        arguments: of the function.

    Raises:
        ConfigError: there is no such function, it raised, or returned something else.
    """
    try:
        made: Any = _function(source)(**arguments)
        dataset: Any = getattr(made, "dataset", made)
        samples = list(cast("Iterable[Any]", dataset))
    except ConfigError:
        raise
    except Exception as error:
        msg = (
            f"{source}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}. "
            "It must return a task or a dataset here, offline; --arg NAME=VALUE gives it arguments."
        )
        raise ConfigError(msg) from error
    for number, sample in enumerate(samples, 1):
        where = f"{source}[{number}]"
        try:
            yield read_record(_record(sample), where, fields)
        except Unusable as why:
            yield Fault(where=where, what=str(why))


def _function(source: str) -> Callable[..., Any]:
    """Return what a source names; `package/task` is looked up as Inspect does, in its registry."""
    module, colon, name = source.rpartition(":")
    modules = [module]
    if not colon:
        package, _, name = source.rpartition("/")
        package = package.replace("/", ".")
        modules = [f"{package}._registry", f"{package}.{name}", package]
    known: set[str] = set()
    why = "nothing there"
    for path in modules:
        try:
            found = importlib.import_module(path)
        except ImportError as error:
            why = str(error)
            continue
        function: Any = getattr(found, name, None)
        if callable(function):
            return function
        public = {k for k, v in vars(found).items() if callable(v) and not k.startswith("_")}
        known |= public
    if known:
        msg = f"{source}: there is no function {name}. {nearest(name, known)}"
        raise ConfigError(msg)
    msg = f"{source}: {why}. Install the package beside runner, or name a file."
    raise ConfigError(msg)


def _record(sample: Any) -> dict[str, Any]:
    """Return a sample's own fields, whatever Inspect's classes are in this release."""
    if isinstance(sample, dict):
        whole = cast("dict[str, Any]", sample)
    elif hasattr(sample, "model_dump"):
        whole = sample.model_dump(mode="json", exclude_none=True)
    else:
        msg = "is no sample of a dataset"
        raise Unusable(msg)
    return {name: whole[name] for name in _KEPT if name in whole}
