"""Identity of processes on this host, from /proc: who holds a sweep, and is it still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from runner.core.seams import ProcessIdentity

_PROC = Path("/proc")


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _pid_namespace() -> str:
    return (_PROC / "self/ns/pid").readlink().name


def _start_and_state(pid: int) -> tuple[str, str] | None:
    """Return (start time in ticks, state letter), None where there is no such process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the command name may hold spaces and brackets
    return fields[19], fields[0]


def memory_bytes() -> int:
    """Return the bytes that the calling process keeps in memory; 0 where /proc does not tell."""
    try:
        pages = int((_PROC / "self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class LinuxProcesses:
    """Answers from /proc of the calling process's own PID namespace."""

    def current(self) -> ProcessIdentity:
        """Return the identity of the calling process."""
        pid = os.getpid()
        found = _start_and_state(pid)
        return ProcessIdentity(
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=pid,
            started=found[0] if found else "",
        )

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        """Return True if provably gone (a zombie is gone), None for another host or namespace."""
        if other.boot_id != _boot_id():
            # The same host name after a reboot: nothing of before the boot can run.
            return True if other.host == socket.gethostname() else None
        if other.pid_namespace != _pid_namespace():
            return None
        found = _start_and_state(other.pid)
        return found is None or found[0] != other.started or found[1] in "ZX"
