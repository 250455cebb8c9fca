"""What worker and coordinator say to each other, once a second. Plain values, picklable.

The heartbeat carries the worker's full state, the reply the coordinator's full answer: either may
be lost, late or doubled. A worker ignores a reply whose `seq` is not that of the heartbeat it is
waiting for; the coordinator sends grants again that the next heartbeat does not show as held.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.core.seams import ProcessIdentity
from runner.core.values import Amount, Attempt, Job
from runner.limits.quota import Cost, Ledger, PermitBlock, Readings
from runner.limits.spending import SpendWord

WRITES = -1.0
"""Of a prefix: a call that writes it is on the wire."""
AWAITS = -2.0
"""Of a prefix: calls wait for another worker to write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job handed to one worker."""

    job: Job
    carried: tuple[Attempt, ...] = ()
    """Attempts known from journals of workers that died with the job unfinished; the answered
    ones are replayed, not sent again."""
    alone: bool = False
    """Suspected of killing workers: the worker runs nothing beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTally:
    """Counts since the worker started, per model; monotonic, so a lost message loses nothing."""

    requests: int = 0
    answered: int = 0
    failures: dict[str, int] = field(default_factory=dict[str, int])
    """By FailureKind."""
    troubles: int = 0
    """Of these, what says that the server is full or away; not the failures of a job that fails
    while others are answered."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    """Of the attempts whose cost is known."""
    uncounted: int = 0
    """Attempts whose cost is not: no price, or an answer that broke off."""
    saved_usd: float = 0.0
    """What cached input would have cost more without a cache."""
    ended: dict[str, int] = field(default_factory=dict[str, int])
    """Jobs that ended, by EndState."""
    waiting: int = 0
    """Jobs that sleep before a retry, now."""
    ready: int = 0
    """Calls that wait for a place, now: rollouts between two turns too."""
    in_flight: int = 0
    """Requests on the wire, now."""
    paused_s: float = 0.0
    """For how long nothing starts, as a 429 or the coordinator has asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaWord:
    """What a worker says of one model that waits for permits."""

    ledger: Ledger
    wants: int
    """Calls that could start had they permits; jobs granted in the reply come on top."""
    held: int
    """Permits in hand."""
    held_until_s: float
    """Until the last of them is due."""
    ends: int
    """Requests to end until the next heartbeat, by those that ended between the latest ones."""
    cost: Cost
    """Mean expected cost of the calls of late."""
    readings: Readings
    """Out of the headers of the latest response since the last heartbeat."""
    sizes: tuple[float, ...] = ()
    """Expected input tokens of the calls that start next, in order, without those that the permits
    in hand are for; empty where the quota does not limit input, or nothing is known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a worker's process fares; for metrics."""

    loop_lag_s: float = 0.0
    """By how much the event loop was late at its last pause."""
    seal_s: float = 0.0
    """What the last seal took, from its first frame to its marker."""
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Worker to coordinator."""

    seq: int
    worker: str
    incarnation: str
    process: ProcessIdentity
    node: str
    claim: int
    """The claim the worker last obeyed, 0 before its first reply."""
    held: tuple[Job, ...]
    """Every job it was granted and has neither handed back nor seen confirmed as published."""
    returned: tuple[Lease, ...]
    """Handed back unfinished, with what is known of them; repeated until a reply confirms it
    (`returned_seen`), and with answers once more to each later claim."""
    sealed: tuple[str, ...]
    """Seals whose publication no reply has confirmed yet."""
    wants: dict[str, int]
    """Free places per model."""
    queued: dict[str, int]
    """Held but not started, per model: what can be revoked without loss."""
    running: int
    """Rollouts begun and not finished, over all models."""
    unpublished: dict[str, int]
    """Finished and not known to be in the manifest, per model; for people."""
    slots: dict[str, int]
    """The shares it obeys, per model: those of the last reply it accepted."""
    tallies: dict[str, ModelTally]
    stopped_models: dict[str, str] = field(default_factory=dict[str, str])
    """Model to reason: a fatal failure was met."""
    unreachable: dict[str, str] = field(default_factory=dict[str, str])
    """Model to reason: nothing but connection failures since the start; the coordinator stops
    the model if no other worker ever had an answer either."""
    quota: dict[str, QuotaWord] = field(default_factory=dict[str, QuotaWord])
    """By model, of those that wait for permits."""
    spending: SpendWord | None = None
    """Where there is a budget."""
    prefixes: dict[int, float] = field(default_factory=dict[int, float])
    """Of the cells of unfinished jobs of models whose server caches: for how many seconds what their
    seeds share can be read; 0.0: not, or it is never cached; else `WRITES` or `AWAITS`."""
    storage_error: str | None = None
    """The journal or the output refuses writes now."""
    storage_error_s: float = 0.0
    """For how long it has."""
    storage_is_journal: bool = False
    """It is the journal: this node's own disk, where the output is a URL."""
    journal_lag_s: float = 0.0
    vitals: Vitals = field(default_factory=Vitals)
    gone: tuple[ProcessIdentity, ...] = ()
    """Of the last reply's `missing`: provably ended, by the process table of this host."""
    draining: bool = False
    """It takes no more grants; the coordinator owes again what it had not acknowledged."""
    done: bool = False
    """Drained, sealed, nothing held: it exits after the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReply:
    """Coordinator to worker."""

    seq: int
    """Of the heartbeat that is answered."""
    claim: int
    lease_ttl_s: float
    """Counted by the worker from the moment it sent the heartbeat."""
    grants: tuple[Lease, ...] = ()
    slots: dict[str, int] = field(default_factory=dict[str, int])
    """Requests in flight that this worker may have, per model: its share of the cluster's one
    number."""
    permits: tuple[PermitBlock, ...] = ()
    """To be used at their times, by the heartbeat's sender only."""
    allowance: Amount | None = None
    """What the worker may have spent and set aside since it started; None: there is no budget."""
    readable: dict[int, float] = field(default_factory=dict[int, float])
    """Cells whose cached prefix others have written, with the seconds for which it can be read."""
    elsewhere: frozenset[int] = frozenset()
    """Cells whose prefix another worker is about to write: wait for it."""
    holds: dict[str, float] = field(default_factory=dict[str, float])
    """Models of which nothing is to be sent, for so many seconds, whatever permits are in hand."""
    outages: frozenset[str] = frozenset()
    """Models whose breaker is not closed: what fails now is no job's fault."""
    quota_notes: dict[str, str] = field(default_factory=dict[str, str])
    """By model: its quota group at this moment, as JSON for the attempts table."""
    published: tuple[str, ...] = ()
    """Of the heartbeat's `sealed`: in the manifest now, forget them."""
    returned_seen: tuple[Job, ...] = ()
    revoke: tuple[Job, ...] = ()
    """Hand these back if not started."""
    stopped_models: dict[str, str] = field(default_factory=dict[str, str])
    missing: tuple[ProcessIdentity, ...] = ()
    """Silent processes of this worker's host, whose end the coordinator cannot see from its own."""
    drain_s: float | None = None
    """Finish or hand back within that many seconds, seal, exit."""
