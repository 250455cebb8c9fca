"""What `runner verify` finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    VIOLATION = "violation"
    """The record is not what it must be."""
    WARNING = "warning"
    """Something is there that does not belong there; no row is wrong."""
    INFO = "info"
    """Work that the next `runner resume` takes up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found."""

    level: Level
    code: str
    """Stable name of the check."""
    where: str
    """Key in the sweep directory."""
    message: str
    """What is wrong, and what to do where anything can be done."""


@dataclass(slots=True)
class Verification:
    """All findings, and what was looked at."""

    findings: list[Finding] = field(default_factory=list[Finding])
    entries: int = 0
    files: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    """By table."""
    recorded: int = 0
    """Jobs with a row in transcripts, counted from the rows."""
    dead: int = 0

    @property
    def ok(self) -> bool:
        """Nothing violates the record."""
        return all(finding.level is not Level.VIOLATION for finding in self.findings)

    def add(self, level: Level, code: str, where: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(level=level, code=code, where=where, message=message))

    def violation(self, code: str, where: str, message: str) -> None:
        """Note a violation."""
        self.add(Level.VIOLATION, code, where, message)
