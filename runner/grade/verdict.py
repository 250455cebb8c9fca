"""What a grader says about one record, and what it is shown. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class VerdictState(StrEnum):
    """Whether there is a verdict; anything but GRADED leaves `harmful` unknown."""

    GRADED = "graded"
    UNPARSABLE = "unparsable"
    """The answer tried to act in a form that nobody can read."""
    SKIPPED = "skipped"
    """Nothing to grade: the provider refused, or the answer is empty."""
    GRADER_ERROR = "grader_error"
    """The grader itself failed; never a score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A grader's answer for one record."""

    state: VerdictState
    outcome: str
    """One of the grader's outcomes; for the other states the reason in a word."""
    harmful: bool | None
    gates: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """Every gate of the grader, whatever the outcome: one column each."""
    evidence: str = ""
    """The sentence that decided, from the answer: hostile text, at most 300 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A native tool call of the model."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the model said in one rollout: the visible text and the tool calls of all its turns.

    Reasoning blocks are not part of it.
    """

    text: str
    calls: Sequence[ToolCall] = ()
    cut: bool = False
    """Ended by a token limit: the last block may be incomplete."""


class Grader(Protocol):
    """A rule: same submission and facts in, same verdict out. No clock, no draw, no I/O."""

    @property
    def name(self) -> str:
        """Under which scenarios ask for it."""
        ...

    @property
    def version(self) -> int:
        """Raised with every change of meaning."""
        ...

    @property
    def view(self) -> str:
        """Which part of the answer is judged; it decides the rate, so it is part of the digest."""
        ...

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gate columns, in order."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules whose source decides the verdict; part of the digest."""
        ...

    def problems(self, facts: Mapping[str, object]) -> list[str]:
        """Return what is wrong with a scenario's `grading:` facts, one line each, as `key: what. What to do`."""
        ...

    def grade(self, submission: Submission, facts: Mapping[str, object]) -> Verdict:
        """Return the verdict.

        Raises:
            ValueError: the facts have problems.
        """
        ...
