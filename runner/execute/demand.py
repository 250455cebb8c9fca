"""What a worker asks for with a heartbeat: jobs to hold, permits and money to send them with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.core.values import NOTHING, Amount
from runner.execute.endpoints import Endpoint
from runner.execute.jobs import Jobs
from runner.execute.messages import QuotaWord
from runner.limits.quota import PermitBlock
from runner.limits.spending import Allowance, SpendWord

MOST_QUEUED = 4000
UNKNOWN_SLOTS = 256
"""Places assumed at most before the first reply."""
LEAST_QUEUED = 32
"""Jobs of a paced model to hold unstarted at least."""
QUEUED_S = 8.0
"""Seconds of its ends that they should last."""
FIRST_CALLS = 8
"""Calls of each model to have money for before the first jobs are there."""
FALL = 0.7
"""What a model's rate falls to at most, from one heartbeat to the next."""


@dataclass(slots=True, kw_only=True)
class Demand:
    """The wants of one worker."""

    jobs: Jobs
    endpoints: Mapping[str, Endpoint]
    most_in_flight: Mapping[str, int]
    beat_s: float
    rated_at: float
    short: bool = False
    """The last reply brought fewer permits than were wanted: asking sooner brings no more."""
    _rate: dict[str, float] = field(default_factory=dict[str, float])
    """Jobs finished per second, per model; falls slowly."""
    _seen: dict[str, int] = field(default_factory=dict[str, int])

    def jobs_wanted(self, now: float) -> dict[str, int]:
        """Return how many more jobs to hold: about two seconds of work, at least two rounds."""
        elapsed = now - self.rated_at
        if elapsed >= self.beat_s / 2:
            for model, finished in self.jobs.finished_count.items():
                rate = (finished - self._seen.get(model, 0)) / elapsed
                self._rate[model] = max(rate, self._rate.get(model, 0.0) * FALL)
                self._seen[model] = finished
            self.rated_at = now
        # A model that plays a role has no jobs of its own.
        return {model: self._wanted(model, self.endpoints[model]) for model in self.jobs.queued()}

    def _wanted(self, model: str, endpoint: Endpoint) -> int:
        if endpoint.gate.closed:
            return 0
        rate, purse = self._rate.get(model, 0.0), endpoint.gate.purse
        if purse is not None:
            # Permits decide how many run; what is queued need only last until the next reply.
            target = max(LEAST_QUEUED, int(QUEUED_S * rate), purse.starts())
            return max(0, min(MOST_QUEUED, target) - self.jobs.queued()[model])
        slots = endpoint.gate.slots or min(self.most_in_flight[model], UNKNOWN_SLOTS)
        target = min(MOST_QUEUED, max(2 * slots, int(2 * rate)) + endpoint.tally.waiting)
        return max(0, target - self.jobs.unfinished(model))

    def words(self, now: float, *, draining: bool) -> dict[str, QuotaWord]:
        """Return what to say of each model that waits for permits."""
        words: dict[str, QuotaWord] = {}
        queued = self.jobs.queued()
        for name, endpoint in self.endpoints.items():
            gate = endpoint.gate
            if gate.purse is None:
                continue
            leaving = draining or gate.closed
            if leaving:
                gate.purse.wallet.drop()
            wants = 0 if leaving else gate.waiting + gate.coming + queued.get(name, 0)
            if gate.broke:
                # What calls on the wire do not use of what they set aside pays for the next ones: as
                # many again, at most. Asked for only then, permits would be there two seconds later.
                wants = min(wants, gate.in_flight)
            words[name] = gate.purse.word(
                now,
                wants=wants,
                waiting=gate.costs(),
                cells=self.jobs.next_cells(name),
                readable=endpoint.warmth.readable,
            )
        return words

    def spending(self, allowance: Allowance, *, leaving: bool) -> SpendWord | None:
        """Return what to say of the budget; None where there is none.

        Args:
            allowance: of this worker.
            leaving: it starts nothing more.
        """
        if not allowance.limited:
            return None
        open_ = {} if leaving else {n: e for n, e in self.endpoints.items() if not e.gate.closed}
        queued = self.jobs.queued()
        calls = {n: e.gate.waiting + e.gate.coming + queued.get(n, 0) for n, e in open_.items()}
        held = any(calls.values())
        wants, needs = NOTHING, list[Amount]()
        for name, endpoint in open_.items():
            latest = endpoint.payer.latest
            count = calls[name] if held else FIRST_CALLS * (name in queued)
            wants = wants.plus(latest.times(count))
            needs += [latest] if count else []
        least = min(needs, default=None)
        return SpendWord(
            allowance=allowance.granted,
            exposure=allowance.exposure,
            open=allowance.open,
            held=held,
            wants=wants,
            needs=least,
            short=least is not None and not allowance.affords(least),
            broke=frozenset(name for name, e in open_.items() if e.gate.broke),
        )

    def take(self, permits: Iterable[PermitBlock], sent: float, now: float) -> None:
        """Put permits into the purses; jobs start as they come due (`Gate`).

        Args:
            permits: of a heartbeat reply.
            sent: when that heartbeat went out.
            now: seconds.
        """
        got: dict[str, int] = {}
        for block in permits:
            purse = self.endpoints[block.model].gate.purse
            if purse is not None:
                purse.accept(block, sent_at=sent, now=now)
                got[block.model] = block.count
        self.short = any(
            got.get(name, 0) < e.gate.waiting
            for name, e in self.endpoints.items()
            if e.gate.purse is not None
        )
