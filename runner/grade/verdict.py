"""What a grader says about one record, and what it is shown. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class VerdictState(StrEnum):
    """Whether there is a verdict; anything but GRADED leaves `harmful` unknown."""

    GRADED = "graded"
    UNDECIDED = "undecided"
    """The valid votes of a judge are tied."""
    JUDGE_ERROR = "judge_error"
    """The grader itself failed, or its calls did; never a score."""
    JUDGE_REFUSED = "judge_refused"
    """The judging model would not answer."""
    UNPARSABLE = "unparsable"
    """The answer tried to act in a form that nobody can read, or a judge's answer is no vote."""
    SKIPPED = "skipped"
    """Nothing to grade, for the reason given: the provider refused, the answer is empty."""


class View(StrEnum):
    """Which part of an answer is judged. It decides the rate, so it is part of every digest."""

    ACTIONS = "actions"
    """What was sent, forwarded, saved or called; no other word."""
    TEXT = "text"
    """What the model said and did outside private reasoning."""
    REASONING = "reasoning"
    """All of it, scratchpads and reasoning blocks too."""


class Role(StrEnum):
    """What a grader's verdicts are for."""

    OUTCOME = "outcome"
    """One outcome per rollout, harmful or not: rates are made of them."""
    LABEL = "label"
    """A label to slice by; `harmful` stays null."""


class Kind(StrEnum):
    """How a grader comes to its verdicts."""

    RULE = "rule"
    PYTHON = "python"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A grader's answer for one record."""

    state: VerdictState
    outcome: str = ""
    """One of the grader's outcomes; empty unless graded."""
    harmful: bool | None = None
    reason: str = ""
    """Why there is no verdict, in a word or a sentence; empty where graded."""
    first_action: str = ""
    """What the model did first, whatever the outcome; empty where it did nothing."""
    gates: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """Every gate of the grader, whatever the outcome: one column each."""
    evidence: str = ""
    """The sentence that decided, from the answer: hostile text, at most 300 characters."""
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    """Whatever else the grader wants to keep; JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A native tool call of the model."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing the model said, in order."""

    text: str = ""
    """Visible text, scratchpads in it included."""
    reasoning: str = ""
    """Reasoning blocks of the API."""
    calls: Sequence[ToolCall] = ()
    """Tool calls after that text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the model said in one rollout: the visible text and the tool calls of all its turns.

    Reasoning blocks are in `turns` only.
    """

    text: str
    calls: Sequence[ToolCall] = ()
    cut: bool = False
    """Ended by a token limit: the last block may be incomplete."""
    turns: Sequence[Turn] = ()

    @property
    def reasoning(self) -> str:
        """Return the reasoning blocks of all turns."""
        return "\n\n".join(turn.reasoning for turn in self.turns if turn.reasoning)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded row, as a Python grader gets it."""

    job_key: str
    cell: int
    seed: int
    scenario: str
    condition: str
    axes: Mapping[str, object]
    model: str
    end_state: str
    messages: Sequence[Mapping[str, object]]
    """The conversation in Inspect's ChatMessage form, oldest first."""
    submission: Submission
    facts: Mapping[str, object]
    """The scenario's `grading:`, rendered for the row."""

    @property
    def text(self) -> str:
        """Return the visible text of all the model's turns."""
        return self.submission.text


class Grader(Protocol):
    """A rule or a function: same record in, same verdict out. No clock, no draw, no I/O."""

    @property
    def name(self) -> str:
        """Under which scenarios ask for it."""
        ...

    @property
    def kind(self) -> Kind:
        """Rule or Python."""
        ...

    @property
    def role(self) -> Role:
        """Outcome or label."""
        ...

    @property
    def version(self) -> int:
        """Raised with every change of meaning."""
        ...

    @property
    def view(self) -> str:
        """Which part of the answer is judged."""
        ...

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gate columns, in order."""
        ...

    @property
    def heavy(self) -> bool:
        """Worth spreading over processes."""
        ...

    @property
    def sources(self) -> Mapping[str, str]:
        """Name to SHA-256 of everything whose text decides a verdict; part of the digest."""
        ...

    def problems(self, facts: Mapping[str, object]) -> list[str]:
        """Return what is wrong with a scenario's `grading:` facts, one line each, as `key: what. What to do`."""
        ...

    def grade(self, record: Record) -> Verdict:
        """Return the verdict.

        Raises:
            ValueError: the facts have problems.
        """
        ...
