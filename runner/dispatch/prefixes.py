"""One warm-up per cached prefix for the whole sweep: who writes it, who waits, who may read. Pure.

A prefix is a cell's: what all its seeds share. In each worker one call goes ahead and the others wait
(`execute/warmth.py`); here workers learn of each other. Each heartbeat says of the cells of its
unfinished jobs for how long their prefixes can be read, or that a call which writes one is on the wire.
Each reply says which of them others can read already, and which others are about to write: nobody else
does so then, as long as that worker is heard, still has such a job, and gets round to it in time. Only
hints: where they are lost or wrong, a prefix is written twice or read a moment later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from runner.execute.messages import AWAITS, WRITES

PATIENCE_S = 10.0
"""For so long others wait for somebody who is to write a prefix and has not begun to."""
SETTLE_S = 3.0
"""For so long the heartbeat that shows a job just granted may be on its way."""


@dataclass(slots=True)
class _Lead:
    incarnation: str
    since: float
    awaited_since: float | None = None
    """Calls of another worker wait for it."""


@dataclass(slots=True, kw_only=True)
class Prefixes:
    """The prefixes of one claim; memory grows with its cells."""

    cached: frozenset[str]
    """Models whose server is asked to cache."""
    model_of: Callable[[int], str]
    """Of a cell."""
    _until: dict[int, float] = field(default_factory=dict[int, float])
    """Cell to when its prefix is gone again (monotonic seconds)."""
    _leads: dict[int, _Lead] = field(default_factory=dict[int, _Lead])
    _words: dict[str, Mapping[int, float]] = field(default_factory=dict[str, Mapping[int, float]])
    """What each worker said last."""

    def answer(
        self,
        incarnation: str,
        word: Mapping[int, float],
        granted: Iterable[int],
        now: float,
        *,
        outages: AbstractSet[str] = frozenset(),
    ) -> tuple[dict[int, float], frozenset[int]]:
        """Take in what a worker says of its prefixes, and tell it of the others'.

        Args:
            incarnation: of the worker.
            word: see `Heartbeat.prefixes`.
            granted: cells of the jobs that the reply brings.
            now: seconds.
            outages: models of which calls go out one by one: whoever may send one does.

        Returns:
            (cell to seconds for which its prefix can be read, cells whose prefix somebody else
            writes).
        """
        if not self.cached:
            return {}, frozenset()
        self._heard(incarnation, word, now)
        readable: dict[int, float] = {}
        elsewhere: set[int] = set()
        if len(self._words) == 1:
            return readable, frozenset()
        for cell in {*word, *(c for c in granted if self.model_of(c) in self.cached)}:
            said = word.get(cell, 0.0)
            if said > 0 or said == WRITES:
                continue
            left = self._until.get(cell, 0.0) - now
            if left > 0:
                readable[cell] = left
            elif self.model_of(cell) in outages:
                continue
            elif self._writes_elsewhere(cell, incarnation, now):
                elsewhere.add(cell)
            else:
                self._lead(cell, incarnation, now)
        return readable, frozenset(elsewhere)

    def _heard(self, incarnation: str, word: Mapping[int, float], now: float) -> None:
        self._words[incarnation] = word
        for cell, left in word.items():
            if left > 0:
                self._until[cell] = max(self._until.get(cell, 0.0), now + left)
            elif left == WRITES and not self._writes_elsewhere(cell, incarnation, now):
                self._lead(cell, incarnation, now)
            elif left == AWAITS and cell in self._leads:
                self._leads[cell].awaited_since = self._leads[cell].awaited_since or now

    def _lead(self, cell: int, incarnation: str, now: float) -> None:
        if cell not in self._leads or self._leads[cell].incarnation != incarnation:
            self._leads[cell] = _Lead(incarnation, now)

    def gone(self, incarnation: str) -> None:
        """A worker is silent or runs no more: nobody waits for it."""
        self._words.pop(incarnation, None)

    def _writes_elsewhere(self, cell: int, incarnation: str, now: float) -> bool:
        """Return whether to leave a prefix to another worker."""
        lead = self._leads.get(cell)
        if lead is None or lead.incarnation == incarnation:
            return False
        word = self._words.get(lead.incarnation)
        if word is None:
            return False
        said = word.get(cell)
        if said is None:
            return now - lead.since < SETTLE_S
        awaited_s = 0.0 if lead.awaited_since is None else now - lead.awaited_since
        return said == WRITES or awaited_s < PATIENCE_S
