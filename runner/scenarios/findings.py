"""What is wrong with scenarios, collected: one finding per fault, each with place and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runner.config.source import Source


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The sweep cannot start."""
    WARNING = "warning"
    """It can, but a number may come out wrong."""
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of a configuration."""

    severity: Severity
    key: str
    """Readable path, `scenarios.tone.user`."""
    where: str | None
    """`file:line`; None where the configuration did not come from a file."""
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """Write `file:line  key: what. fix`."""
        place = f"{self.where}  " if self.where else ""
        return f"{place}{self.key}: {self.what}{f'. {self.fix}' if self.fix else ''}"


class Findings:
    """Collects findings in the order in which they are met; the same one once."""

    def __init__(self, source: Source | None = None) -> None:
        """Take the positions of the configuration's keys, if it came from files."""
        self.all: list[Finding] = []
        self._source = source
        self._seen: set[tuple[str, str]] = set()

    def add(
        self,
        severity: Severity,
        key: str,
        what: str,
        fix: str | None = None,
        *,
        where: str | None = None,
        line: int | None = None,
    ) -> None:
        """Note a finding.

        Args:
            severity: how bad it is.
            key: readable path.
            what: is wrong.
            fix: what to do.
            where: given for what stands in another file than its key.
            line: of the key's text, from 0, where that is known.
        """
        if (key, what) in self._seen:
            return
        self._seen.add((key, what))
        if where is None and self._source:
            found = self._source.where(key) if line is None else self._source.where_in(key, line)
            where = str(found)
        self.all.append(Finding(severity=severity, key=key, where=where, what=what, fix=fix))

    def error(
        self, key: str, what: str, fix: str | None = None, *, line: int | None = None
    ) -> None:
        """Note an error; `line` as in `add`."""
        self.add(Severity.ERROR, key, what, fix, line=line)

    def problem(self, key: str, text: str) -> None:
        """Note an error that was written as one text: what is wrong in the first sentence, then what to do."""
        what, _, fix = text.removesuffix(".").partition(". ")
        self.error(key, what, fix or None)

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that keep a sweep from starting."""
        return [f for f in self.all if f.severity is Severity.ERROR]


class RenderProblem(Exception):  # noqa: N818 -- collected as a finding
    """A condition cannot be rendered: which key, and why; the line (from 0) of its text where that is known."""

    def __init__(self, scenario: str, name: str, what: str, line: int | None = None) -> None:
        super().__init__(scenario, name, what, line)
        self.key = f"{scenario}.{name}"
        self.what = what
        self.line = line


def note(problem: RenderProblem, faults: list[RenderProblem] | None) -> None:
    """Add a problem to the list, or raise it where there is none."""
    if faults is None:
        raise problem
    faults.append(problem)
