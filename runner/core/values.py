"""The values that stages hand to each other. Frozen, without behaviour beyond small lookups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from runner.core.light import light

Block = dict[str, Any]
"""One content block in Messages API form: `{"type": "text", "text": …}`, `thinking`, `tool_use` …"""


class Job(NamedTuple):
    """A job inside a sweep: the stable number of its cell in the plan, and its seed."""

    cell: int
    seed: int


class Amount(NamedTuple):
    """What is set aside, spent or allowed: in dollars and in tokens, side by side."""

    usd: float
    tokens: float
    """All input, cached too, and output. A float, since a limit that nobody set is infinite."""

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.usd + other.usd, self.tokens + other.tokens)

    def minus(self, other: Amount) -> Amount:
        """Return the difference."""
        return Amount(self.usd - other.usd, self.tokens - other.tokens)

    def least(self, other: Amount) -> Amount:
        """Return the smaller of each."""
        return Amount(min(self.usd, other.usd), min(self.tokens, other.tokens))

    def most(self, other: Amount) -> Amount:
        """Return the larger of each."""
        return Amount(max(self.usd, other.usd), max(self.tokens, other.tokens))

    def times(self, factor: float) -> Amount:
        """Return a multiple."""
        return Amount(self.usd * factor, self.tokens * factor)

    def within(self, limit: Amount) -> bool:
        """Return whether it is no more than the limit, in dollars and in tokens."""
        return self.usd <= limit.usd + EPSILON and self.tokens <= limit.tokens + EPSILON


EPSILON = 1e-9
"""Sums of the same dollars in another order differ by less."""
NOTHING = Amount(0.0, 0.0)


class EndState(StrEnum):
    """How a job ended. A table's planned count is the sum over these and `not_run`."""

    ANSWERED = "answered"
    """The model ended its turn, called a tool or met a stop sequence."""
    REFUSED = "refused"
    """The provider's own classifier refused (`stop_reason: refusal`)."""
    EMPTY = "empty"
    """HTTP 200 and a normal stop, but no text and no tool call."""
    TRUNCATED = "truncated"
    """Cut by max_tokens or by the model's context window."""
    BLOCKED = "blocked"
    """The sweep's own safeguard withheld the answer; the provider did answer."""
    FAILED = "failed"
    """The job's own failures used up its budget: a dead letter."""
    TOO_LARGE = "too_large"
    """The record would exceed the maximum record size: a dead letter."""
    POISON = "poison"
    """Killed the worker that ran it alone: a dead letter."""


TARGET = "target"
"""The role of the model under test."""

RECORDED_STATES = frozenset(
    {
        EndState.ANSWERED,
        EndState.REFUSED,
        EndState.EMPTY,
        EndState.TRUNCATED,
        EndState.BLOCKED,
    }
)
"""States with a response: their rows lie in transcripts/. The others are dead letters."""

NO_EVENT_STATES = frozenset({EndState.REFUSED})
"""Recorded states in which nothing was answered: in the denominator of rates, never an event."""
GRADED_STATES = frozenset({EndState.ANSWERED, EndState.TRUNCATED, EndState.BLOCKED})
"""Recorded states with something that took effect: of a blocked row all but its last answer."""


@light
class Usage:
    """Tokens of one response or, summed, of a rollout. Total input = the three input fields."""

    input_tokens: int = 0
    """Uncached input."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    """Part of output_tokens."""
    cache_write_1h_tokens: int = 0
    """Part of cache_write_tokens that is kept for an hour, which costs more."""

    def plus(self, other: Usage) -> Usage:
        """Return the field-wise sum."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )


@dataclass(frozen=True, slots=True)
class Shared:
    """How much of a first request is the same for all seeds of a condition, from its beginning.

    Tools are always shared; the message is only where the whole system text is.
    """

    system: int
    """Leading characters of the system text."""
    message: int
    """Leading characters of the first user message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What the model is to answer next, in provider-neutral (Messages API) form."""

    system: str | None
    messages: Sequence[Mapping[str, Any]]
    """`{"role": "user" | "assistant", "content": str | list[Block]}`, oldest first."""
    tools: Sequence[Mapping[str, Any]] = ()
    """`{"name", "description", "input_schema"}`."""
    shared: Shared | None = None
    """For prompt caching; None: nothing is known. Does not change what is said."""


@light
class Prepared:
    """A request ready to be sent, the same bytes on every attempt."""

    payload: Mapping[str, Any]
    """The JSON object of the request body."""
    body: bytes
    """`payload` encoded."""
    digest: str
    """SHA-256, hex, of the body without what concerns only its way: `stream`, and the marks and
    cuts of prompt caching. So an answer is found again after these keys have changed."""
    cache_s: float | None = None
    """The request asks the server to keep the part that its condition's seeds share for so long
    after its last use; None: it does not."""


class FailureKind(StrEnum):
    """Why an attempt failed; the row of the one table in `providers/classify.py`."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    RAMP_LIMITED = "ramp_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    CONFLICT = "conflict"
    TRUNCATED_RESPONSE = "truncated_response"
    BAD_RESPONSE = "bad_response"
    RESPONSE_TOO_LARGE = "response_too_large"
    BAD_REQUEST = "bad_request"
    REQUEST_TOO_LARGE = "request_too_large"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    BILLING = "billing"
    SPEND_LIMIT = "spend_limit"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_STATUS = "unknown_status"
    INTERNAL = "internal"
    """An exception inside our own request path; counts against the job, never hidden."""


class Budget(StrEnum):
    """Whose allowance a failed attempt uses."""

    JOB = "job"
    """The job's own: used up, the job is a dead letter."""
    RATE_LIMIT = "rate_limit"
    """Time spent waiting for quota; used up, the job is handed back, never a dead letter."""
    OVERLOAD = "overload"
    """The same for a server that is full for everybody."""
    INFRASTRUCTURE = "infrastructure"
    """The same for networks."""
    NONE = "none"
    """Not retried at all."""


class Stop(StrEnum):
    """What a failure stops beyond its own attempt."""

    NOTHING = "nothing"
    JOB = "job"
    MODEL = "model"
    """At once: no further request to this model can succeed."""
    MODEL_IF_REPEATED = "model_if_repeated"
    """After it repeated across jobs without a success between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt, already classified. Holds no request, no header map and no key."""

    kind: FailureKind
    message: str
    """What the server or the network said, at most 500 characters, secrets removed."""
    status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    simulated: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Only rate-limit headers, lower case."""


@light
class Answer:
    """HTTP 200 with a whole body."""

    body: bytes
    """The response body as received (for a streamed call: the equivalent final message)."""
    request_id: str | None = None
    status: int = 200
    simulated: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Only rate-limit headers, lower case."""


@light
class Reply:
    """An answer as read from its body; a pure function of the body, so it can be replayed."""

    content: tuple[Block, ...]
    stop_reason: str
    end_state: EndState
    """What the rollout's end state is if it ends with this reply (one of RECORDED_STATES)."""
    usage: Usage
    model: str
    """The model id that the server returned."""
    terms: tuple[str, ...] = ()
    """What else decides about the price, as the API said: `speed=fast`, `service_tier=flex` …;
    empty: the ordinary price."""
    continues: bool = False
    """`pause_turn`: send the content back and ask again; not a turn of its own."""
    role: str = TARGET
    """Who spoke: the model under test, or a role that another model plays."""
    actor: str | None = None
    """The configured name of the model that plays the role; None: the model under test."""

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(b.get("text", "") for b in self.content if b.get("type") == "text")


@light
class Attempt:
    """One HTTP request that was sent: the unit of the journal and of the attempts table."""

    job: Job
    turn: int
    """0-based call index inside the rollout (a continued pause is a call of its own)."""
    number: int
    """1-based, over all tries of this call, process restarts included."""
    incarnation: str
    """The worker incarnation that sent it."""
    started_at: float
    """Unix seconds, wall clock."""
    latency_s: float
    request_digest: str
    answer: Answer | None = None
    failure: Failure | None = None
    role: str = TARGET
    """Who was asked: the model under test, or a role that another model plays."""
    actor: str | None = None
    """The configured name of the model that plays the role; None: the model under test."""
    waited_s: float = 0.0
    """For a place and a permit, before it was sent."""
    quota: str = ""
    """The model's quota group when it was sent, as JSON; empty where nothing was known yet."""
    counted: Amount | None = None
    """What it counts against a budget (`core.money.counted`); None: written before it ended, or by
    a runner that did not count."""

    @property
    def attempt_id(self) -> str:
        """Unique over the sweep."""
        return f"{self.incarnation}-{self.job.cell}-{self.job.seed}-{self.turn}-{self.number}"


def attempt_job(attempt_id: str) -> Job:
    """Return the job that an attempt's id names.

    Raises:
        ValueError: no attempt's id.
    """
    _, cell, seed, _, _ = attempt_id.rsplit("-", 4)
    return Job(int(cell), int(seed))


@light
class Finished:
    """A job that ended: what becomes a row of transcripts/ or of failures/."""

    job: Job
    end_state: EndState
    attempts: tuple[Attempt, ...]
    """Every attempt known for the job, oldest first; the answered ones carry the bodies."""
    conversation: Conversation
    """The rendered conversation up to and including the last request."""
    replies: tuple[Reply, ...]
    """One per answered call, in order; empty for most dead letters."""
    finished_at: float
    """Unix seconds, wall clock."""
    error: str | None = None
    """For a dead letter: the last failure in one line."""
    whole: bool = False
    """The conversation holds the last reply of the model under test (and what answered it)."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the rollout says about itself, JSON values: `perturbations`, `ended_by`, `effects`,
    `safeguards`."""
    used: tuple[Attempt, ...] = ()
    """By turn, those of `attempts` whose answers the rollout used. A job that went from worker to
    worker may have more than one history; empty: by turn the first that was answered."""

    @property
    def own_replies(self) -> tuple[Reply, ...]:
        """Replies of the model under test."""
        for reply in self.replies:
            if reply.role != TARGET:
                return tuple(reply for reply in self.replies if reply.role == TARGET)
        return self.replies
