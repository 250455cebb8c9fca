"""The errors a caller of `runner` can meet, and the exit code each ends in.

RunnerError
├─ ConfigError          the user must change something           exit 2
├─ SweepStateError      the directory does not fit the request   exit 3
│   ├─ SweepHeldError   another live process holds the sweep
│   └─ CellsChangedError recorded cells changed or vanished
├─ RecordError          data at rest is not what its schema says exit 5
├─ AbortSweepError      nothing further can succeed (key, model) exit 4
│   └─ BackendError     Ray cannot be started or joined, or its workers cannot run
├─ StorageError         the output store refused or is full      exit 6
│   └─ StoreAwayError   it cannot be reached or throttles: it may come back
└─ FencedError          this process no longer holds the sweep   exit 3

Rules for a new error: keep it picklable (positional arguments or defaulted keywords only), and
write its message as what, where (file and key) and what to do. API failures are not errors: past
the provider boundary they are `runner.core.values.Failure` values.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_CONFIG = 2
EXIT_STATE = 3
EXIT_ABORTED = 4
EXIT_RECORD = 5
EXIT_STORAGE = 6
EXIT_INCOMPLETE = 7
"""The sweep ended with dead letters or with a stopped model; rows of the rest are recorded."""
EXIT_BUDGET = 8
"""The budget is used up; everything paid for is recorded, and a higher one goes on."""
EXIT_INTERRUPTED = 130


class RunnerError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code: int = EXIT_UNEXPECTED


class ConfigError(RunnerError, ValueError):
    """The configuration cannot be used; carries every problem found, not only the first.

    Attributes:
        problems: one line each, `file:line  key: what. What to do.`
    """

    exit_code = EXIT_CONFIG

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: tuple[str, ...] = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class SweepStateError(RunnerError):
    """The sweep directory is not in a state in which the request makes sense."""

    exit_code = EXIT_STATE


class SweepHeldError(SweepStateError):
    """Another live process holds the sweep; the message names it and how to watch or stop it."""


class CellsChangedError(SweepStateError):
    """Recorded cells changed or vanished in the new configuration; the message names the keys."""


class FencedError(SweepStateError):
    """A later claim exists in the manifest: this coordinator must stop without another write."""


class RecordError(RunnerError):
    """Data at rest (manifest, part, journal, plan table) is not what its schema says."""

    exit_code = EXIT_RECORD


class AbortSweepError(RunnerError):
    """Nothing further can succeed: wrong key, unknown model, unreachable server."""

    exit_code = EXIT_ABORTED


class BackendError(AbortSweepError):
    """Ray cannot be started or joined, no worker finds a place, or all of them keep dying."""


class StorageError(RunnerError):
    """The output store or the journal's disk refused a write (full, read-only, not reachable)."""

    exit_code = EXIT_STORAGE


class StoreAwayError(StorageError):
    """The object store does not answer, throttles or fails: the same call may succeed later."""
