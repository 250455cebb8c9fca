"""What one worker has of one model's quota: permits, the costs it expects, the latest headers.

The pure wallet and guess are in `limits`; here they meet attempts and answers. One per model that
waits for permits; a model without limits by rate has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import ceil

from runner.core.values import Failure, FailureKind, Reply
from runner.execute.messages import QuotaWord
from runner.limits.headers import parse_readings
from runner.limits.quota import Charging, Cost, Meter, PermitBlock
from runner.limits.token_guess import CostGuess
from runner.limits.wallet import Ticket, Wallet

RATE_LIMITS = frozenset({FailureKind.RATE_LIMITED, FailureKind.RAMP_LIMITED})
MOST_SIZES = 200
"""Next calls whose sizes a heartbeat tells."""
PAUSE_S = 1.0
"""After a 429 that names no time."""
FALL = 0.7
"""What the number of calls that end between two heartbeats is taken to fall to at most: calls that
last about as long as the time between two end now before one, now after it."""
_METERS = (
    ("input token", Meter.INPUT),
    ("output token", Meter.OUTPUT),
    ("request", Meter.REQUESTS),
)


@dataclass(slots=True, kw_only=True)
class Purse:
    """Permits of one model in one worker."""

    model: str
    max_tokens: int
    charging: Charging
    cache_reads_count: bool
    sized: bool = False
    """Input tokens are limited: say how large the next calls are."""
    wallet: Wallet = field(default_factory=Wallet)
    _guess: CostGuess = field(default_factory=CostGuess)
    _headers: Mapping[str, str] = field(default_factory=dict[str, str])
    _mean_input: float = 0.0
    """Tokens that a call is expected to cost, over the latest calls."""
    _mean_output: float = 0.0
    _later: float = 0.0
    """Share of calls that were no job's first, over the latest ones."""
    _later_input: float = 0.0
    """Input tokens that one of those costs."""
    _asked: int = 0
    """Costs that the means are made of, at most 50."""
    again: int = 0
    """Calls that came since the last heartbeat and were no job's first: more will."""
    _ended: int = 0
    _ends: float = 0.0
    """Calls to end until the next heartbeat, by those that have ended between the latest ones."""
    _latest: int = 0
    """Permits of the latest block."""

    def asks(
        self, cell: int, characters: int, *, first: bool, reads: bool | None = None
    ) -> Callable[[], Cost]:
        """Count a call that is about to wait; returns what tells, at any time, its expected cost.

        Answers that come while it waits change that by much: of what it reads from a cache nothing
        is known before the one that wrote it has ended.

        Args:
            cell: its number.
            characters: of the request's text.
            first: of its job.
            reads: it will read its prefix from the cache (True) or write it (False); None: it has
                none to share.
        """
        expected = partial(
            self._guess.cost,
            self.model,
            cell,
            characters=characters,
            max_tokens=self.max_tokens,
            charging=self.charging,
            reads=bool(reads),
        )
        cost = expected()
        self.again += not first
        if first and self.sized:
            self._guess.begins(self.model, cell, characters, shares=reads is not None)
        self._asked = min(self._asked + 1, 50)
        share = 1.0 / self._asked
        self._later += share * ((not first) - self._later)
        if not first:
            known = self._later_input or cost.input_tokens
            self._later_input = known + 0.1 * (cost.input_tokens - known)
        self._mean_input += share * (cost.input_tokens - self._mean_input)
        self._mean_output += share * (cost.output_tokens - self._mean_output)
        return expected

    def accept(self, block: PermitBlock, *, sent_at: float, now: float) -> None:
        """Take permits in; see `Wallet.accept`."""
        self._latest = block.count
        self.wallet.accept(block, sent_at=sent_at, now=now)

    def starts(self) -> int:
        """Return how many jobs to hold for the permits of two heartbeats like the latest."""
        return 2 * self._latest

    def end(  # one call per attempt, all of it known only here
        self,
        ticket: Ticket,
        reply: Reply | Failure,
        *,
        cell: int,
        characters: int,
        latency_s: float,
        trouble: bool,
        now: float,
        reads: bool | None = None,
    ) -> None:
        """Settle a request that has ended.

        `trouble`: it says that the server is full or away; `reads`: as `asks` was told.
        """
        self._ended += 1
        wallet = self.wallet
        if isinstance(reply, Reply):
            usage = reply.usage
            tokens = usage.input_tokens + usage.cache_write_tokens
            if self.cache_reads_count:
                tokens += usage.cache_read_tokens
            wallet.answered(
                ticket,
                input_tokens=tokens,
                output_tokens=usage.output_tokens,
                latency_s=latency_s,
            )
            self._guess.answered(
                self.model,
                cell,
                characters=characters,
                input_tokens=tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=0 if self.cache_reads_count else usage.cache_read_tokens,
                written_tokens=0 if self.cache_reads_count else usage.cache_write_tokens,
                reads=reads,
            )
        elif reply.kind in RATE_LIMITS:
            wallet.refused(
                ticket,
                meter=meter_of(reply.message),
                ramp=reply.kind is FailureKind.RAMP_LIMITED,
                pause_s=reply.retry_after_s or PAUSE_S,
                now=now,
            )
        elif trouble:
            wallet.overloaded(ticket)
        else:
            wallet.ended(ticket)

    def heard(self, headers: Mapping[str, str]) -> None:
        """Keep the rate-limit headers of the latest response."""
        if headers:
            self._headers = headers

    def word(
        self,
        now: float,
        *,
        wants: int,
        waiting: Iterable[Cost] = (),
        cells: Iterable[int] = (),
        readable: Callable[[int], bool] = lambda _: False,
    ) -> QuotaWord:
        """Return what the next heartbeat says.

        Args:
            now: seconds.
            wants: calls that wait for a permit and jobs that have not started.
            waiting: costs of these calls as expected now, in the order of their turns.
            cells: of these jobs, in the order in which they will start.
            readable: whether a cell's prefix is in the cache or being written to it.
        """
        held = self.wallet.held(now)
        sizes = islice(self._sizes(waiting, cells, readable), held, held + MOST_SIZES)
        headers, self._headers = self._headers, {}
        again, self.again = self.again, 0
        self._ends = max(self._ended, FALL * self._ends)
        self._ended = 0
        # What a call reserves is known before the first one has been asked for.
        reserves = self.charging is Charging.RESERVED
        output = float(self.max_tokens) if reserves else self._mean_output
        return QuotaWord(
            ledger=self.wallet.ledger(now),
            wants=wants + again,
            held=held,
            held_until_s=self.wallet.held_until_s(now),
            ends=ceil(self._ends),
            cost=Cost(input_tokens=self._mean_input, output_tokens=output),
            readings=parse_readings(headers, None) if headers else {},
            sizes=tuple(sizes) if self.sized else (),
        )

    def _sizes(
        self, waiting: Iterable[Cost], cells: Iterable[int], readable: Callable[[int], bool]
    ) -> Iterator[float]:
        for cost in waiting:
            yield cost.input_tokens
        writes: set[int] = set()
        # Permits of jobs that are to begin go first to calls of those that have begun meanwhile.
        owed, later = 0.0, self._later / max(0.02, 1.0 - self._later)
        for cell in cells:
            # Of a cold cell's jobs the first writes the prefix, the others wait and read it.
            reads = cell in writes or readable(cell)
            writes.add(cell)
            size = self._guess.first_input(self.model, cell, reads=reads)
            if size is None:
                return
            owed += later
            while owed >= 1.0:
                owed -= 1.0
                yield self._later_input
            yield size


def meter_of(message: str) -> Meter | None:
    """Return which limit a 429 names, None where it does not say."""
    lower = message.lower()
    return next((meter for word, meter in _METERS if word in lower), None)
