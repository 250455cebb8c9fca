"""Graders by the name under which scenarios ask for them, and their digests.

Three sources, the later shadowing none: the shipped ones, installed packages (entry points), the
configuration. A name that two of them use is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from runner.config.schema import GraderConfig, ModelConfig, SweepConfig
from runner.config.yaml_tree import parse
from runner.core.errors import ConfigError
from runner.core.identity import digest
from runner.grade.blackmail_rule import BlackmailRule
from runner.grade.functions import FunctionGrader, installed, load_function
from runner.grade.judge import judge_grader
from runner.grade.rule_grader import rule_grader
from runner.grade.sources import source_digests
from runner.grade.verdict import Grader, Kind, Record, Role, Verdict


@dataclass(frozen=True, slots=True)
class CodeRule:
    """A rule written in Python, of the package itself."""

    rule: BlackmailRule
    kind: Kind = Kind.RULE
    role: Role = Role.OUTCOME
    heavy: bool = False

    @property
    def name(self) -> str:
        """Return the rule's name."""
        return self.rule.name

    @property
    def version(self) -> int:
        """Return the rule's version."""
        return self.rule.version

    @property
    def view(self) -> str:
        """Return what the rule judges."""
        return self.rule.view

    @property
    def gates(self) -> tuple[str, ...]:
        """Return the rule's gates."""
        return self.rule.gates

    @property
    def sources(self) -> Mapping[str, str]:
        """Return the SHA-256 of each module that decides."""
        return source_digests(self.rule.modules)

    def problems(self, facts: Mapping[str, object]) -> list[str]:
        """Return what is wrong with the facts."""
        return self.rule.problems(facts)

    def grade(self, record: Record) -> Verdict:
        """Return the rule's verdict.

        Raises:
            ValueError: the facts have problems.
        """
        return self.rule.grade(record.submission, record.facts)


def _shipped() -> dict[str, Grader]:
    found: dict[str, Grader] = {"blackmail_rule": CodeRule(BlackmailRule())}
    for file in sorted((Path(__file__).parent / "library").glob("*.yaml")):
        config = GraderConfig(**cast("dict[str, Any]", parse(file.read_text(), file.name).plain()))
        found[config.name] = rule_grader(config, f"library/{file.name}")
    return found


SHIPPED: Mapping[str, Grader] = _shipped()
"""Rules of this package: `grade/library/*.yaml`, and one in Python."""


class Graders:
    """The graders that one sweep can use.

    Raises:
        ConfigError: in the constructor, where one cannot be made or two have one name.
    """

    def __init__(self, *configs: SweepConfig) -> None:
        """Take the graders of configurations, the sweep's own and files of graders."""
        self._found: dict[str, Grader] = dict(SHIPPED)
        self._points = installed()
        self.models: dict[str, ModelConfig] = {}
        problems: list[str] = []
        for config in configs:
            self.models |= {m.name: m for m in (*config.models, *config.judges)}
        for one in (g for config in configs for g in config.graders):
            where = f"graders.{one.name}"
            if one.name in self._found:
                problems.append(f"{where}: a grader of this name is there already. Rename it.")
                continue
            try:
                self._found[one.name] = self._make(one, where)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(*problems)

    def _make(self, one: GraderConfig, where: str) -> Grader:
        match one.kind:
            case "rule":
                return rule_grader(one, where)
            case "judge":
                return judge_grader(one, self.models, where)
            case "python":
                return _named(load_function(one.use or "", f"{where}.use"), one.name, where)
            case _:
                msg = f"{where}.kind: {one.kind!r} is not known. Write rule, judge or python."
                raise ConfigError(msg)

    def get(self, name: str) -> Grader:
        """Return a grader by name.

        Raises:
            ConfigError: there is none; the message names the nearest.
        """
        if name not in self._found and name in self._points:
            point = self._points[name]
            where = f"entry point {name} of {point.dist.name if point.dist else 'a package'}"
            self._found[name] = _named(load_function(point.value, where), name, where)
        if name not in self._found:
            raise ConfigError(self._unknown(name))
        return self._found[name]

    @property
    def names(self) -> list[str]:
        """Return every name there is."""
        return sorted({*self._found, *self._points})

    def problems(self, names: Sequence[str], facts: Mapping[str, object]) -> list[str]:
        """Return what is wrong with a scenario's `graders:` and, for these, its rendered `grading:`."""
        out: list[str] = []
        for name in names:
            if name not in self._found and name not in self._points:
                out.append(self._unknown(name))
                continue
            try:
                out += self.get(name).problems(facts)
            except ConfigError as error:
                out += error.problems
        return out

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self.names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(self.names)}."
        return f"graders: {name!r} is unknown. {hint}"


def grader_digest(found: Grader) -> str:
    """Return the SHA-256, in hex, over a grader's sources, version, gates, role and judged view.

    Verdicts lie under it: a changed rule never mixes with the verdicts of the old one.
    """
    return digest(
        {
            "name": found.name,
            "kind": str(found.kind),
            "role": str(found.role),
            "version": found.version,
            "view": str(found.view),
            "gates": list(found.gates),
            "sources": dict(found.sources),
        }
    )


def _named(found: FunctionGrader, name: str, where: str) -> FunctionGrader:
    if found.name != name:
        msg = f"{where}: the function calls itself {found.name!r}, the configuration {name!r}. Use one name."
        raise ConfigError(msg)
    return found
