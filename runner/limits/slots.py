"""One number of requests in flight per model for the whole cluster, split into workers' shares.

Pure: decides from what workers report. The sum of what workers may have in flight never exceeds
the model's number, whatever messages are lost, late or doubled: a share counts as in use until a
later heartbeat of that worker shows that it obeys a smaller one, and the share of a worker that
fell silent stays withheld until its calls must have ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Share:
    obeyed: int = 0
    """As the last heartbeat reported."""
    sent: int = 0
    """In the last reply, which may or may not have arrived."""
    in_flight: int = 0
    demand: int = 0
    """Requests it could have on the wire now: in flight, queued and wanted."""
    withheld_until: float | None = None
    """Set once the worker is lost: its share is free from then on."""

    def counted(self) -> int:
        return max(self.obeyed, self.sent, self.in_flight)


FEW = 64
"""Up to so many workers the split is made anew for each reply; beyond, every `SPLIT_S`."""
SPLIT_S = 0.25


@dataclass(slots=True)
class SlotAuthority:
    """Shares of one model's `max_in_flight`."""

    limit: int
    _shares: dict[str, _Share] = field(default_factory=dict[str, _Share])
    _counted: int = 0
    """Sum over all shares: a thousand workers ask once a second each, so nobody adds them up."""
    _withheld: set[str] = field(default_factory=set[str])
    _split: dict[str, int] = field(default_factory=dict[str, int])
    _split_at: float = 0.0

    def report(self, worker: str, *, obeyed: int, in_flight: int, demand: int) -> None:
        """Take in a heartbeat: the share the worker obeys, what it has on the wire, what it wants."""
        share = self._shares.setdefault(worker, _Share())
        self._counted -= share.counted()
        share.obeyed, share.in_flight, share.demand = obeyed, in_flight, demand
        share.withheld_until = None
        self._counted += share.counted()
        self._withheld.discard(worker)

    def grant(self, worker: str, now: float, *, most: int | None = None) -> int:
        """Return the share for the reply: towards a fair split, within what is free for certain.

        Args:
            worker: it must have reported.
            now: monotonic seconds.
            most: no more than this (what it obeys already), while others may not have reported.
        """
        self._expire(now)
        share = self._shares[worker]
        self._counted -= share.counted()
        free = max(0, self.limit - self._counted)
        share.sent = min(free, self._fair(worker, now))
        if most is not None:
            share.sent = min(share.sent, most)
        self._counted += share.counted()
        return share.sent

    def lost(self, worker: str, until: float) -> None:
        """Withhold a silent worker's share until its calls must have ended (monotonic seconds).

        Said again while the worker stays silent, it changes nothing.
        """
        share = self._shares.get(worker)
        if share is not None and share.withheld_until is None:
            share.withheld_until = until
            self._withheld.add(worker)
            self._split.clear()

    def unheard(self, worker: str, calls: int, until: float) -> None:
        """Withhold what a worker has on the wire that never reported here (monotonic seconds).

        Said again with fewer calls, since some have ended, it frees their places.
        """
        share = self._shares.get(worker)
        if share is None:
            share = self._shares[worker] = _Share(withheld_until=until)
            self._withheld.add(worker)
        elif share.withheld_until is None or calls > share.in_flight:
            return
        self._counted -= share.counted()
        share.in_flight = calls
        self._counted += share.counted()

    def gone(self, worker: str) -> None:
        """Free the share of a worker that provably runs no more."""
        share = self._shares.pop(worker, None)
        if share is not None:
            self._counted -= share.counted()
            self._withheld.discard(worker)
            self._split.clear()

    def counted(self) -> int:
        """Return what may be in flight over the cluster at most."""
        return self._counted

    def _expire(self, now: float) -> None:
        for worker in [w for w in self._withheld if self._over(self._shares[w], now)]:
            self.gone(worker)

    def _over(self, share: _Share, now: float) -> bool:
        return share.withheld_until is not None and share.withheld_until <= now

    def _fair(self, worker: str, now: float) -> int:
        many = len(self._shares) > FEW
        if not many or worker not in self._split or now - self._split_at >= SPLIT_S:
            self._split, self._split_at = self._max_min(), now
        return self._split[worker]

    def _max_min(self) -> dict[str, int]:
        """Return max-min fair shares: what small demands leave is split among the others.

        With demand for less than the limit, what is over is split too, so that a worker need not
        ask twice.
        """
        live = {w: s for w, s in self._shares.items() if s.withheld_until is None}
        left = self.limit
        todo = sorted(live, key=lambda w: (live[w].demand, w))
        fair: dict[str, int] = {}
        for i, name in enumerate(todo):
            part = -(-left // (len(todo) - i))  # rounded up: the last ones get what is left
            fair[name] = min(part, live[name].demand)
            left -= fair[name]
        return {name: part + left // len(todo) for name, part in fair.items()}
