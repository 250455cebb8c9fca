"""Is a model worth calling? Stops what cannot succeed, from the failures of one worker. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

UNREACHABLE_AFTER_S = 5.0
"""Nothing but connection failures for so long, and never an answer: the address is wrong or the
server is down, and the user wants to hear it now."""
REPEATED_STOP = 3
"""Failures of a `model_if_repeated` kind over different jobs, without an answer between."""


@dataclass(slots=True)
class ModelHealth:
    """What one worker has seen of one model."""

    answered: bool = False
    first_unreachable_at: float | None = None
    unreachable: str | None = None
    """Why the model counts as unreachable; None: it does not."""
    stopped: str | None = None
    """Why no further request can succeed; None: it may."""
    _repeats: set[object] = field(default_factory=set[object])
    _failing: set[object] = field(default_factory=set[object])
    """Jobs that met a server's failure since the last answer (two are enough to know)."""

    def on_answer(self) -> None:
        """An answer arrived."""
        self.answered = True
        self.first_unreachable_at = None
        self.unreachable = None
        self._repeats.clear()
        self._failing.clear()

    def on_stop(self, reason: str) -> None:
        """A failure of a kind that stops the model at once."""
        self.stopped = self.stopped or reason

    def on_repeated(self, job: object, reason: str) -> None:
        """A failure of a kind that stops the model when it repeats across jobs."""
        self._repeats.add(job)
        if len(self._repeats) >= REPEATED_STOP:
            self.on_stop(reason)

    def on_connection_failure(self, reason: str, now: float) -> None:
        """The server could not be reached at monotonic time `now`."""
        if self.answered:
            return
        if self.first_unreachable_at is None:
            self.first_unreachable_at = now
        if now - self.first_unreachable_at >= UNREACHABLE_AFTER_S:
            self.unreachable = reason

    def on_other_failure(self, job: object) -> None:
        """The server answered a job with an error: it is there."""
        self.first_unreachable_at = None
        self.unreachable = None
        if len(self._failing) < 2:
            self._failing.add(job)

    @property
    def outage(self) -> bool:
        """Return whether several jobs fail and none succeeds: then it is not the job's fault."""
        return len(self._failing) > 1
