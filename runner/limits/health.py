"""Is a model worth calling? Stops what cannot succeed, from the failures of one worker. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

UNREACHABLE_AFTER_S = 3.0
"""Nothing but connection failures for so long, and never an answer: the address is wrong or the
server is down, and the user wants to hear it now."""
APART_S = 1.0
"""Failures closer together than this are one hiccup."""
BROKEN_AFTER_S = 120.0
"""Nothing but server errors and timeouts for so long, and never an answer: it will not get better
by itself, and the user wants to hear it."""
REPEATED_STOP = 3
"""Failures of a `model_if_repeated` kind over different jobs, without an answer between."""


@dataclass(slots=True)
class ModelHealth:
    """What one worker has seen of one model."""

    answered: bool = False
    first_unreachable_at: float | None = None
    last_unreachable_at: float = 0.0
    unreachable_reason: str = ""
    first_broken_at: float | None = None
    unreachable: str | None = None
    """Why the model counts as unreachable; None: it does not."""
    stopped: str | None = None
    """Why no further request can succeed; None: it may."""
    _repeats: set[object] = field(default_factory=set[object])
    _failing: set[object] = field(default_factory=set[object])
    """Jobs that met a server error or a timeout since the last answer to anybody."""
    _suspect: set[object] = field(default_factory=set[object])
    """Jobs that failed so while others were answered: what fails is theirs."""

    def on_answer(self) -> None:
        """An answer arrived."""
        self.answered = True
        self.first_unreachable_at = None
        self.first_broken_at = None
        self.unreachable = None
        self._repeats.clear()
        self._suspect |= self._failing
        self._failing.clear()

    def on_stop(self, reason: str) -> None:
        """A failure of a kind that stops the model at once."""
        self.stopped = self.stopped or reason

    def on_repeated(self, job: object, reason: str) -> None:
        """A failure of a kind that stops the model when it repeats across jobs."""
        self._repeats.add(job)
        if len(self._repeats) >= REPEATED_STOP:
            self.on_stop(reason)

    def on_connection_failure(self, reason: str, now: float, *, tried_s: float = 0.0) -> None:
        """The server could not be reached at monotonic time `now`, after trying for `tried_s`."""
        if self.answered:
            return
        first = self.first_unreachable_at
        self.first_unreachable_at = now - tried_s if first is None else min(first, now - tried_s)
        self.last_unreachable_at, self.unreachable_reason = now, reason
        if first is not None and now - self.first_unreachable_at >= UNREACHABLE_AFTER_S:
            self.unreachable = reason

    def look(self, now: float, in_flight: int) -> None:
        """Judge by time, too.

        The next failure may be long in coming: an open breaker tries rarely. While a request is on
        the wire nothing is judged, since it may have been let in.
        """
        first = self.first_unreachable_at
        if first is None or in_flight or now - first < UNREACHABLE_AFTER_S:
            return
        if self.last_unreachable_at - first >= APART_S:
            self.unreachable = self.unreachable_reason

    def on_other_failure(self) -> None:
        """The server answered with an error: it is there."""
        self.first_unreachable_at = None

    def on_server_failure(self, job: object, reason: str, now: float) -> None:
        """A job met a server error or a timeout at monotonic time `now`."""
        self.on_other_failure()
        self._failing.add(job)
        if self.answered:
            return
        if self.first_broken_at is None:
            self.first_broken_at = now
        if now - self.first_broken_at >= BROKEN_AFTER_S:
            self.unreachable = f"{reason} (nothing else for {BROKEN_AFTER_S:.0f} s)"

    def forget(self, job: object) -> None:
        """A job has ended, or is another worker's."""
        self._failing.discard(job)
        self._suspect.discard(job)

    def is_news(self, job: object) -> bool:
        """Return whether a job's server error or timeout says anything of the server.

        Not again of a job that has failed since the last answer to anybody, and never of one that
        failed while others were answered.
        """
        return job not in self._failing and job not in self._suspect

    @property
    def outage(self) -> bool:
        """Return whether what fails now is nobody's fault.

        Several jobs fail, none is answered, and at least one of them never failed while others
        were answered.
        """
        return len(self._failing) > 1 and not self._failing <= self._suspect
