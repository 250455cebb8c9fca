"""Reads an Inspect dataset or task that is importable here: `package.module:function` or `package/task`.

The function is called without arguments and returns a task or a dataset. Nothing of Inspect is imported
by name: what it returns is asked for `dataset` and for its samples. Only samples are read. What a task's
solvers add (system prompts, tools, choices written out) is theirs, and is said to be missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from runner.core.errors import ConfigError
from runner.importer.draft import Draft, Fault, Fields, Unusable
from runner.importer.records import read_record

_KEPT = ("id", "input", "target", "choices", "metadata", "files", "setup", "sandbox")


def names_code(source: str) -> bool:
    """Return whether a source can only mean a function."""
    module, colon, function = source.rpartition(":")
    dotted = module.replace(".", "").replace("_", "").isalnum()
    return bool(colon) and dotted and function.isidentifier()


def read_inspect(source: str, fields: Fields) -> Iterator[Draft | Fault]:
    """Yield the drafts of a task's dataset.

    Raises:
        ConfigError: there is no such function, it raised, or returned something else.
    """
    try:
        made: Any = _function(source)()
        dataset: Any = getattr(made, "dataset", made)
        samples = list(cast("Iterable[Any]", dataset))
    except ConfigError:
        raise
    except Exception as error:
        msg = (
            f"{source}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}. "
            "It must be importable here and return a task or dataset without arguments."
        )
        raise ConfigError(msg) from error
    for number, sample in enumerate(samples, 1):
        where = f"{source}[{number}]"
        try:
            yield read_record(_record(sample), where, fields)
        except Unusable as why:
            yield Fault(where=where, what=str(why))


def _function(source: str) -> Callable[[], Any]:
    if ":" in source:
        module, _, name = source.rpartition(":")
    else:
        module, name = source.replace("/", "."), source.rpartition("/")[2]
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        msg = f"{source}: {error}. Install the package beside runner, or name a file."
        raise ConfigError(msg) from error
    function: Any = getattr(found, name, None)
    if not callable(function):
        msg = f"{source}: the module {module} has no function {name}. Write module:function."
        raise ConfigError(msg)
    return function


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
