"""A worker's word to its coordinator, for tests that change a field or two of it."""

from __future__ import annotations

from runner.core.seams import ProcessIdentity
from runner.execute.messages import Heartbeat

PROCESS = ProcessIdentity(host="h", boot_id="b", pid_namespace="n", pid=1, started="1")
BEAT = Heartbeat(
    seq=1,
    worker="w",
    incarnation="w",
    process=PROCESS,
    node="n",
    claim=1,
    held=(),
    returned=(),
    sealed=(),
    wants={},
    queued={},
    running=0,
    unpublished={},
    slots={},
    tallies={},
)
"""Nothing held, nothing running."""
