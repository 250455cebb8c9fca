"""What a worker logs: its events with who, under which claim and for which job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from runner.core.values import Job

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class WorkLog:
    """Structured lines of one worker; costs a comparison where nobody listens."""

    sweep: str
    worker: str
    incarnation: str
    key_of: Callable[[Job], str]
    claim: int = 0
    """Of the coordinator that granted the leases; 0 before the first reply."""

    def tell(self, event: str, job: Job | None = None, **facts: object) -> None:
        """Log what an operator of a running sweep looks for."""
        self._log(logging.INFO, event, job, facts)

    def detail(self, event: str, job: Job | None = None, **facts: object) -> None:
        """Log what is of use for one job only."""
        self._log(logging.DEBUG, event, job, facts)

    def _log(self, level: int, event: str, job: Job | None, facts: dict[str, object]) -> None:
        if not _LOG.isEnabledFor(level):
            return
        who = {
            "sweep": self.sweep,
            "worker": self.worker,
            "incarnation": self.incarnation,
            "claim": self.claim,
        }
        if job is not None:
            who |= {"job": self.key_of(job), "cell": job.cell, "seed": job.seed}
        _LOG.log(level, event, extra={"facts": who | facts})
