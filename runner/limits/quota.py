"""The values of the quota authority: what a quota is, what is asked for, granted and reported.

Pure data; the authority (`authority.py`) decides over them, workers spend them (`wallet.py`).
Seconds are floats on the clock of whoever reads them. Between processes only differences travel
(`…_in_s`, `…_s`), so clocks of two hosts are never compared. Tokens are floats: estimates are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Meter(StrEnum):
    """What a quota counts, by the minute."""

    REQUESTS = "requests"
    INPUT = "input_tokens"
    """Uncached input: `input + cache writes`. Cache reads do not count."""
    OUTPUT = "output_tokens"


class Charging(StrEnum):
    """When the server takes output tokens off its bucket."""

    PRODUCED = "produced"
    """As they are generated; `max_tokens` plays no part (first-party API)."""
    RESERVED = "reserved"
    """`max_tokens` at the start, settled at the end: estimates must then be `max_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """How fast a cold or recovering group may speed up."""

    start: float = 0.5
    """Share of the known rate at the start."""
    double_s: float = 5.0
    """Seconds in which the rate may double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuota:
    """The quota of one group. All three limits None and `auto` False: not limited by rate."""

    rpm: float | None = None
    itpm: float | None = None
    otpm: float | None = None
    safety: float = 0.99
    """Share of each limit that is aimed at."""
    auto: bool = False
    """Learn limits from headers; requests by trial where no header comes."""
    charging: Charging = Charging.PRODUCED
    ramp: Ramp = field(default_factory=Ramp)

    def per_second(self) -> dict[Meter, float]:
        """Return the configured limits per second."""
        limits = {Meter.REQUESTS: self.rpm, Meter.INPUT: self.itpm, Meter.OUTPUT: self.otpm}
        return {meter: limit / 60 for meter, limit in limits.items() if limit is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one request is expected to use, besides being one request."""

    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One permit of a block whose permits differ."""

    after_s: float
    """Since the block's begin."""
    input_tokens: float
    """Reserved with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitBlock:
    """Permits for one worker and model.

    Permit i may start a request from `first + i·interval` (with steps: `first + steps[i].after`)
    until `grace` later, none past `expires`.
    On the worker's clock `first` is when the reply came plus `first_in_s`, `expires` when the
    heartbeat was sent plus `expires_in_s`: whatever the message took, a permit is never used
    earlier or later than the authority assumes.
    """

    id: int
    """Grows by one with each block of the authority; never used again."""
    model: str
    count: int
    first_in_s: float
    interval_s: float
    grace_s: float
    expires_in_s: float
    reserved: Cost
    """For each permit; what a permit used really costs is settled by the `Ledger`."""
    steps: tuple[Step, ...] = ()
    """One for each permit where input tokens bind and the sizes of the requests are known: a long
    prompt's successor then starts later. `interval_s` and `reserved` are their means."""

    @property
    def reserved_input(self) -> float:
        """Return the input tokens reserved with all permits."""
        if self.steps:
            return sum(step.input_tokens for step in self.steps)
        return self.count * self.reserved.input_tokens

    @property
    def last_in_s(self) -> float:
        """Return when the last permit is due."""
        after = self.steps[-1].after_s if self.steps else (self.count - 1) * self.interval_s
        return self.first_in_s + after


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What one worker did with the permits of one model: sums since the worker started.

    Never reset, so that a lost or doubled heartbeat neither loses nor counts anything twice.
    """

    accepted: int = 0
    """Permits received in blocks."""
    accepted_input: float = 0.0
    """Reserved with them."""
    accepted_output: float = 0.0
    used: int = 0
    """Permits that started a request."""
    lapsed: int = 0
    """Permits that ended unused: too late, cancelled, or dropped at a new claim."""
    resolved_input: float = 0.0
    """Reserved with the permits used or lapsed."""
    resolved_output: float = 0.0
    charged_input: float = 0.0
    """Over all requests started: the estimate while on the wire, then what the usage says
    (0 for a refused one). May fall."""
    charged_output: float = 0.0
    """As above; with `Charging.PRODUCED` only that of ended requests is looked at."""
    in_flight: int = 0
    """On the wire now (not a sum)."""
    elapsed_s: float = 0.0
    """Summed over these: for how long they have been there (not a sum since the start)."""
    answered: int = 0
    refused: int = 0
    """429s, without those that a spend cap caused."""
    refused_ramp: int = 0
    """Of these: `ramp_limit_exceeded`."""
    overloaded: int = 0
    """529, 5xx, timeouts, lost connections."""
    refused_meter: Meter | None = None
    """What the latest 429 named, None where it did not say."""
    paused_s: float = 0.0
    """What is left of the worker's pause after its latest 429 (not a sum)."""
    output_tokens: float = 0.0
    """Σ y over answers (y: tokens, x: seconds on the wire); the next sums give speed and delay."""
    latency: float = 0.0
    output_squared: float = 0.0
    output_latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a response's headers said about one meter."""

    limit: float | None = None
    """Per minute."""
    remaining: float | None = None
    resets_in_s: float | None = None
    """Until the bucket is full again."""


Readings = dict[Meter, Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStatus:
    """One bucket as `runner status` shows it."""

    meter: Meter
    limit: float | None
    """Per minute; None: unknown."""
    source: str
    """`config`, `header` or `learned`."""
    target: float | None
    """Per minute: what is aimed at now."""
    utilisation: float | None
    """Share of the limit used over the last minute."""
    foreign: float | None
    """Share of the limit that others use, estimated from headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStatus:
    """One quota group as `runner status` and the attempts table show it."""

    meters: tuple[MeterStatus, ...]
    binds: Meter | None
    """What held grants back last; None: demand did."""
    refused_share: float
    """429s per request ended, last minute."""
    breaker: str
    """`closed`, `open`, `half_open`."""
    hold_s: float
    """Until the group may send again."""
    waiting_s: float
    """What a request asked for now would wait for its permit."""
