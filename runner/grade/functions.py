"""Python graders: `@grader` on a function of a record.

    from runner import Record, grader

    @grader("shouts", version=1, gates=("loud",))
    def shouts(record: Record) -> str:
        return "loud" if record.text.isupper() else "calm"

The function returns an outcome's name, a bool (outcome `yes` or `no`, harmful if yes) or a whole
`Verdict`. It is found by `use: module:function` or `use: file.py:function` in the configuration,
or as an entry point of the group `runner.graders`. Its digest is its module's source and `version`:
what it imports beyond its own module counts only through `version`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from runner.core.errors import ConfigError
from runner.grade.verdict import Kind, Record, Role, Verdict, VerdictState, View

GROUP = "runner.graders"
"""Entry points by which installed packages offer graders."""

Function = Callable[[Record], Verdict | str | bool]

LONGEST_OUTCOME = 80
"""Characters."""
LONGEST_EVIDENCE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionGrader:
    """A function with what the verdict tables say of it."""

    function: Function
    name: str
    version: int
    role: Role
    view: str
    gates: tuple[str, ...]
    harmful: frozenset[str]
    """Outcomes that count in the headline rate, where the function returns a name only."""
    needs: tuple[str, ...]
    heavy: bool
    kind: Kind = Kind.PYTHON

    def __call__(self, record: Record) -> Verdict | str | bool:
        """Call the function, as if it were not decorated."""
        return self.function(record)

    @property
    def sources(self) -> Mapping[str, str]:
        """Return the SHA-256 of the function's module.

        Raises:
            ConfigError: it has no source file.
        """
        module = self.function.__module__
        try:
            path = inspect.getsourcefile(self.function)
        except TypeError:
            path = None
        if path is None or not Path(path).is_file():
            msg = f"grader {self.name}: module {module} has no source file to take the digest of. Put it into a file."
            raise ConfigError(msg)
        return {module: hashlib.sha256(Path(path).read_bytes()).hexdigest()}

    def problems(self, facts: Mapping[str, object]) -> list[str]:
        """Return which facts are missing."""
        return missing(self.name, self.needs, facts)

    def grade(self, record: Record) -> Verdict:
        """Call the function and make a verdict of what it returns.

        Raises:
            ValueError: it returned something else, or left with `sys.exit`.
        """
        found = self._called(record)
        if isinstance(found, Verdict):
            return self._checked(found)
        if isinstance(found, bool):
            harmful = found if self.role is Role.OUTCOME else None
            outcome = "yes" if found else "no"
            return Verdict(state=VerdictState.GRADED, outcome=outcome, harmful=harmful)
        if isinstance(found, str) and found:
            return self._checked(Verdict(state=VerdictState.GRADED, outcome=found))
        msg = f"grader {self.name} returned {type(found).__name__}: return an outcome's name, a bool or a Verdict"
        raise ValueError(msg)

    def _called(self, record: Record) -> object:
        try:
            with redirect_stdout(sys.stderr):  # what it prints is no part of a command's output
                return self.function(record)
        except SystemExit as error:
            msg = f"grader {self.name} called sys.exit({error.code!r})"
            raise ValueError(msg) from error

    def _checked(self, verdict: Verdict) -> Verdict:
        """Return a verdict that a table can hold; what a function returns is anybody's.

        Raises:
            ValueError: it cannot be one.
        """
        state = VerdictState(verdict.state)
        graded = state is VerdictState.GRADED
        texts = (verdict.outcome, verdict.reason, verdict.first_action, verdict.evidence)
        wrong = ""
        if not all(isinstance(text, str) for text in texts):
            wrong = "outcome, reason, first_action and evidence are text"
        elif graded and not 0 < len(verdict.outcome) <= LONGEST_OUTCOME:
            wrong = f"an outcome is a name of 1 to {LONGEST_OUTCOME} characters"
        elif verdict.harmful not in (None, True, False):
            wrong = "harmful is true, false or None"
        elif unknown := sorted(str(g) for g in verdict.gates if g not in self.gates):
            wrong = f"{', '.join(unknown)} is not among its declared gates"
        elif not all(value in (None, True, False) for value in verdict.gates.values()):
            wrong = "a gate is true or false"
        if wrong:
            msg = f"grader {self.name}: {wrong}"
            raise ValueError(msg)
        json.dumps(verdict.details, default=str)  # TypeError: keys that JSON has not
        harmful = None if verdict.harmful is None else bool(verdict.harmful)
        if harmful is None and graded and self.role is Role.OUTCOME:
            harmful = verdict.outcome in self.harmful
        return replace(
            verdict,
            state=state,
            harmful=harmful if graded and self.role is Role.OUTCOME else None,
            evidence=verdict.evidence[:LONGEST_EVIDENCE],
        )


def grader(
    name: str,
    *,
    version: int = 1,
    role: str = "outcome",
    view: str = "text",
    gates: tuple[str, ...] = (),
    harmful: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    heavy: bool = False,
) -> Callable[[Function], FunctionGrader]:
    """Make a grader of a function of a record.

    Args:
        name: as in verdict tables and in `graders:`.
        version: raise it with every change of meaning outside the function's module.
        role: `outcome` or `label`.
        view: what the function judges, as it declares: `actions`, `text` or `reasoning`.
        gates: names of the gates that its verdicts fill.
        harmful: outcomes that are harmful, where it returns names only.
        needs: keys of `grading:` it cannot do without.
        heavy: costs much CPU; with `runner grade --workers N` it grades over Ray Data.
    """

    def wrap(function: Function) -> FunctionGrader:
        return FunctionGrader(
            function=function,
            name=name,
            version=version,
            role=Role(role),
            view=View(view),
            gates=gates,
            harmful=frozenset(harmful),
            needs=needs,
            heavy=heavy,
        )

    return wrap


def missing(name: str, needs: tuple[str, ...], facts: Mapping[str, object]) -> list[str]:
    """Return a line for each fact that a grader needs and that is not there, or empty."""
    return [
        f"grading.{key}: is missing, and grader {name} needs it. Add it, or take the grader out"
        for key in needs
        if facts.get(key) in (None, "", [], {})
    ]


def load_function(use: str, where: str) -> FunctionGrader:
    """Import what `use:` names.

    Raises:
        ConfigError: no such module, file or function, or one without `@grader`.
    """
    module_name, _, attribute = use.rpartition(":")
    if not module_name or not attribute:
        msg = f"{where}: {use!r} names no function. Write module:function or file.py:function."
        raise ConfigError(msg)
    module = _module(module_name, where)
    found = getattr(module, attribute, None)
    if not isinstance(found, FunctionGrader):
        what = "there is no such function" if found is None else "it is not decorated with @grader"
        msg = f"{where}: {use}: {what}. See docs/graders.md."
        raise ConfigError(msg)
    return found


def _module(name: str, where: str) -> ModuleType:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        alias = f"runner_graders_{digest}"
        spec = importlib.util.spec_from_file_location(alias, name)
        assert spec is not None  # the name ends in .py
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module  # dataclasses and pickles look themselves up
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        msg = f"{where}: {name} cannot be imported ({type(error).__name__}: {error}). Correct it and run again."
        raise ConfigError(msg) from error
    return module


def installed() -> dict[str, EntryPoint]:
    """Return the graders that installed packages offer, not imported yet, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}
