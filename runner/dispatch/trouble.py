"""Storage that refuses: whose trouble is it, and who gives up when? Pure: time is an argument.

The output that everybody writes to is everybody's trouble: after the output's patience the sweep ends,
and is continued by hand. What one worker meets alone (its node's disk is full, its mount is gone) is that
worker's: after a patience it alone lets go of its jobs and leaves, and the others go on with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from runner.dispatch.leases import WorkerView
from runner.dispatch.terms import DISK_PATIENCE_S
from runner.execute.messages import Heartbeat


class Verdict(Enum):
    """What to do about storage that refuses."""

    WAIT = 0
    LEAVE = 1
    """This worker alone lets go."""
    END = 2
    """The sweep ends."""


@dataclass(slots=True, kw_only=True)
class Trouble:
    """Storage trouble of one claim."""

    patience_s: float
    """How long an output may refuse every write."""
    text: str = ""
    """What refuses, for people; empty where nothing does."""
    _since: float | None = None

    def own(self, error: str, now: float) -> Verdict:
        """Take note of a write of the coordinator's that was refused."""
        self.text = error
        if self._since is None:
            self._since = now
        return Verdict.END if now - self._since > self.patience_s else Verdict.WAIT

    def over(self, workers: Iterable[WorkerView]) -> None:
        """Take note that the coordinator could write what it wanted to."""
        self._since = None
        if not any(w.beat.storage_error for w in workers):
            self.text = ""

    def of_worker(self, beat: Heartbeat, workers: Iterable[WorkerView]) -> Verdict:
        """Take note of what a worker meets."""
        if beat.storage_error is None:
            return Verdict.WAIT
        self.text = f"{beat.worker} on {beat.node}: {beat.storage_error}"
        others = [w for w in workers if w.incarnation != beat.incarnation and not w.lost]
        alone = any(w.beat.storage_error is None and not w.beat.draining for w in others)
        patience_s = self.patience_s
        if beat.storage_is_journal:
            patience_s = min(patience_s, DISK_PATIENCE_S)
        if beat.storage_error_s <= patience_s:
            return Verdict.WAIT
        return Verdict.LEAVE if alone else Verdict.END
