"""The worker's side: permits of one model in hand, and what became of them. Pure.

Permits are used in order, each within its own time; one that was not used in time has lapsed and
comes back with the next heartbeat's ledger. A worker that cannot reach the coordinator runs out of
permits by itself: there is no safe share.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from runner.limits.quota import Cost, Ledger, Meter, PermitBlock


@dataclass(slots=True)
class _Held:
    first: float
    interval: float
    left: int
    grace: float
    expires: float
    reserved: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A request that a permit started; goes back to the wallet once, when the request has ended."""

    expected: Cost
    at: float


@dataclass(slots=True)
class Wallet:
    """Permits of one model.

    Call `take` before each request and one of `answered`, `refused`, `overloaded` and `ended` after.
    """

    paused_until: float = 0.0
    """By this worker's own 429s and by the authority's `hold_s`."""
    in_flight: int = 0
    _started: float = 0.0
    """Summed over requests on the wire: when they started."""
    _held: deque[_Held] = field(default_factory=deque[_Held])
    _accepted: int = 0
    _accepted_input: float = 0.0
    _accepted_output: float = 0.0
    _used: int = 0
    _lapsed: int = 0
    _resolved_input: float = 0.0
    _resolved_output: float = 0.0
    _charged_input: float = 0.0
    _charged_output: float = 0.0
    _answered: int = 0
    _refused: int = 0
    _refused_ramp: int = 0
    _overloaded: int = 0
    _output_tokens: float = 0.0
    _latency: float = 0.0
    _output_squared: float = 0.0
    _output_latency: float = 0.0
    _refused_meter: Meter | None = None

    def accept(self, block: PermitBlock, *, sent_at: float, now: float) -> None:
        """Take a block in.

        Args:
            block: out of the reply to the heartbeat that is waited for, never out of another.
            sent_at: when that heartbeat was sent.
            now: seconds on the same clock.
        """
        self._accepted += block.count
        self._accepted_input += block.reserved_input
        self._accepted_output += block.count * block.reserved.output_tokens
        first, expires = now + block.first_in_s, sent_at + block.expires_in_s
        if not block.steps:
            self._held.append(
                _Held(
                    first=first,
                    interval=block.interval_s,
                    left=block.count,
                    grace=block.grace_s,
                    expires=expires,
                    reserved=block.reserved,
                )
            )
        for step in block.steps:
            self._held.append(
                _Held(
                    first=first + step.after_s,
                    interval=0.0,
                    left=1,
                    grace=block.grace_s,
                    expires=expires,
                    reserved=replace(block.reserved, input_tokens=step.input_tokens),
                )
            )

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for so long: the reply said so, or a 429 did.

        Permits that will be too late by then lapse at once: those that are asked for next are for
        the requests that they were for.
        """
        self.paused_until = max(self.paused_until, now + seconds)
        self._lapse(self.paused_until)

    def held(self, now: float) -> int:
        """Return how many permits are in hand, due or not."""
        self._lapse(now)
        return sum(h.left for h in self._held)

    def due_now(self, now: float) -> int:
        """Return how many requests could start now."""
        if now < self.paused_until:
            return 0
        self._lapse(now)
        due = 0
        for held in self._held:
            late = now - held.first
            if late < 0:
                break
            due += min(held.left, int(late / held.interval) + 1) if held.interval else held.left
        return due

    def held_until_s(self, now: float) -> float:
        """Return the time until the last permit in hand is due; 0.0 without any."""
        self._lapse(now)
        ends = [h.first + (h.left - 1) * h.interval for h in self._held]
        return max(0.0, max(ends, default=now) - now)

    def next_at(self, now: float) -> float | None:
        """Return when a request may go out (maybe in the past); None: no permit in hand."""
        self._lapse(now)
        return max(self._held[0].first, self.paused_until) if self._held else None

    def take(self, now: float, expected: Cost) -> Ticket | None:
        """Use the permit that is due, for a request of that expected cost; None: none is due."""
        due = self.next_at(now)
        if due is None or now < due:
            return None
        self._resolve(self._held[0], 1, lapsed=False)
        self._charged_input += expected.input_tokens
        self._charged_output += expected.output_tokens
        self.in_flight += 1
        self._started += now
        return Ticket(expected=expected, at=now)

    def drop(self) -> None:
        """Give all permits in hand up: fenced, draining, stopped, or a new claim."""
        while self._held:
            self._resolve(self._held[0], self._held[0].left, lapsed=True)

    def answered(
        self, ticket: Ticket, *, input_tokens: float, output_tokens: float, latency_s: float
    ) -> None:
        """A request ended with an answer of that usage (uncached input, cache writes included)."""
        self._end(ticket, input_tokens, output_tokens)
        self._answered += 1
        self._output_tokens += output_tokens
        self._latency += latency_s
        self._output_squared += output_tokens * output_tokens
        self._output_latency += output_tokens * latency_s

    def refused(
        self, ticket: Ticket, *, meter: Meter | None, ramp: bool, pause_s: float, now: float
    ) -> None:
        """A request ended with a 429 that is no spend cap; everybody waits `pause_s`."""
        self._end(ticket, 0.0, 0.0)
        self._refused += 1
        self._refused_ramp += int(ramp)
        self._refused_meter = meter
        self.hold(pause_s, now)

    def overloaded(self, ticket: Ticket) -> None:
        """529, 5xx, timeout or a lost connection: its tokens may have been used, so they count."""
        self._end(ticket, ticket.expected.input_tokens, ticket.expected.output_tokens)
        self._overloaded += 1

    def ended(self, ticket: Ticket) -> None:
        """Any other end: a 4xx of the job's own, or a cancelled call."""
        self._end(ticket, ticket.expected.input_tokens, ticket.expected.output_tokens)

    def unsent(self, ticket: Ticket) -> None:
        """Nothing went out after all: what was charged is given back exactly."""
        self._end(ticket, 0.0, 0.0)

    def ledger(self, now: float) -> Ledger:
        """Return the sums for a heartbeat."""
        self._lapse(now)
        return Ledger(
            accepted=self._accepted,
            accepted_input=self._accepted_input,
            accepted_output=self._accepted_output,
            used=self._used,
            lapsed=self._lapsed,
            resolved_input=self._resolved_input,
            resolved_output=self._resolved_output,
            charged_input=self._charged_input,
            charged_output=self._charged_output,
            in_flight=self.in_flight,
            elapsed_s=max(0.0, self.in_flight * now - self._started),
            answered=self._answered,
            refused=self._refused,
            refused_ramp=self._refused_ramp,
            overloaded=self._overloaded,
            refused_meter=self._refused_meter,
            paused_s=max(0.0, self.paused_until - now),
            output_tokens=self._output_tokens,
            latency=self._latency,
            output_squared=self._output_squared,
            output_latency=self._output_latency,
        )

    def _end(self, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        self.in_flight -= 1
        self._started = 0.0 if not self.in_flight else self._started - ticket.at
        self._charged_input += input_tokens - ticket.expected.input_tokens
        self._charged_output += output_tokens - ticket.expected.output_tokens

    def _lapse(self, now: float) -> None:
        while self._held:
            held = self._held[0]
            if now > held.expires:
                self._resolve(held, held.left, lapsed=True)
            elif now > held.first + held.grace:
                late = held.left
                if held.interval > 0:
                    late = min(late, int((now - held.first - held.grace) / held.interval) + 1)
                self._resolve(held, late, lapsed=True)
            else:
                return

    def _resolve(self, held: _Held, count: int, *, lapsed: bool) -> None:
        if lapsed:
            self._lapsed += count
        else:
            self._used += count
        self._resolved_input += count * held.reserved.input_tokens
        self._resolved_output += count * held.reserved.output_tokens
        held.left -= count
        held.first += count * held.interval
        if held.left <= 0:
            self._held.popleft()
