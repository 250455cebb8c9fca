"""Deaths that this host cannot see, told by live workers on the hosts where they happened.

Silence proves nothing: a process may be stopped, suspended or cut off. Its own host's process table
does, and the end of a process is final, so that a testimony may come late, twice or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.core.seams import Processes, ProcessIdentity
from runner.execute.messages import Heartbeat


@dataclass(slots=True)
class Witnesses:
    """`runner.core.seams.Processes` of a coordinator: this host's table, and what workers saw."""

    here: Processes
    _asked: set[ProcessIdentity] = field(default_factory=set[ProcessIdentity])
    _gone: set[ProcessIdentity] = field(default_factory=set[ProcessIdentity])
    _boots: dict[str, str] = field(default_factory=dict[str, str])
    """Host to its boot, as its workers' heartbeats said last."""

    def current(self) -> ProcessIdentity:
        """Return the identity of the calling process."""
        return self.here.current()

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        """Return as the seam says; whom this host cannot see is asked about from now on."""
        if other in self._gone:
            return True
        found = self.here.is_dead(other)
        if found is None:
            self._asked.add(other)
        return found

    def rebooted(self, other: ProcessIdentity) -> bool:
        """Return whether the host of a process was switched off since: what was not synced is lost.

        Of a host where nobody was heard of since, it is not known, and not said.
        """
        here = self.here.current()
        boot = here.boot_id if here.host == other.host else self._boots.get(other.host)
        return boot is not None and boot != other.boot_id

    def heard(self, beat: Heartbeat) -> None:
        """Take in what a worker saw on its host; it is itself alive, or has said goodbye."""
        self._boots[beat.process.host] = beat.process.boot_id
        self._gone.update(beat.gone)
        self._asked.difference_update(beat.gone, (beat.process,))

    def questions(self, beat: Heartbeat) -> tuple[ProcessIdentity, ...]:
        """Return the processes that may have run on the host of this worker."""
        same = (p for p in self._asked if p.host == beat.process.host)
        return tuple(sorted(same, key=lambda p: (p.boot_id, p.pid_namespace, p.pid, p.started)))
