"""Ray's job API, as `runner submit` needs it: hand a command over, follow it, end with its outcome.

A job's runtime environment is kept by the cluster and shown on its dashboard, so it carries the
configuration and nothing else: keys come from the environment of the cluster's nodes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from ray.job_submission import JobStatus, JobSubmissionClient

from runner.core.errors import BackendError

_ATTEMPT = re.compile(r"(.*)-(\d+)")
_RUNS = frozenset({JobStatus.PENDING, JobStatus.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended."""

    succeeded: bool
    exit_code: int | None
    """Of the command, where it got as far."""
    message: str


class RayJobs:
    """The jobs of one cluster.

    Raises:
        BackendError: in the constructor, where no job API answers.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        logging.getLogger("ray").setLevel(logging.ERROR)  # it tells of its own connections
        try:
            self._client = JobSubmissionClient(address)
        except (ConnectionError, RuntimeError, OSError, ValueError) as error:
            first = str(error).partition("\n")[0]
            msg = (
                f"--address {address}: no job API of a Ray cluster there ({first}). Give the "
                "dashboard's address, such as http://HEAD:8265; the cluster needs ray[default]"
            )
            raise BackendError(msg) from error

    def running(self, family: str) -> str | None:
        """Return the id of the job of a family that runs or is about to, if there is one."""
        of_family = self._numbered(family).items()
        return next((name for name, (_, status) in of_family if status in _RUNS), None)

    def submit(self, family: str, entrypoint: str, folder: Path) -> str:
        """Hand a command over; returns the id of its job, the family's next number.

        Args:
            family: tells the jobs of one sweep from all others.
            entrypoint: run by a shell, in a copy of the folder.
            folder: small; sent to the cluster.

        Raises:
            BackendError: the cluster refuses.
        """
        taken = (number for number, _ in self._numbered(family).values())
        name = f"{family}-{max(taken, default=0) + 1}"
        try:
            return self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=name,
                runtime_env={"working_dir": str(folder)},
                entrypoint_num_cpus=0,
            )
        except (RuntimeError, ValueError) as error:
            msg = f"{self._address} refuses the job: {str(error).partition(chr(10))[0]}"
            raise BackendError(msg) from error

    def _numbered(self, family: str) -> dict[str, tuple[int, JobStatus]]:
        """Return number and status of a family's jobs, by their ids."""
        jobs = (
            (job, _ATTEMPT.fullmatch(job.submission_id or "")) for job in self._client.list_jobs()
        )
        return {
            found.group(): (int(found.group(2)), job.status)
            for job, found in jobs
            if found is not None and found.group(1) == family
        }

    async def lines(self, name: str) -> AsyncIterator[str]:
        """Yield what a job prints, until it ends.

        Raises:
            BackendError: the connection broke; the job may go on.
        """
        try:
            async for text in self._client.tail_job_logs(name):
                yield text
        except Exception as error:
            raise self._away(error) from error  # RuntimeError, OSError, or aiohttp's

    def end(self, name: str) -> JobEnd | None:
        """Return how a job ended, None while it runs.

        Raises:
            BackendError: the job API does not answer any more.
        """
        try:
            info = self._client.get_job_info(name)
        except Exception as error:
            raise self._away(error) from error  # RuntimeError, or requests'
        if info.status in _RUNS:
            return None
        return JobEnd(
            succeeded=info.status == JobStatus.SUCCEEDED,
            exit_code=info.driver_exit_code,
            message=(info.message or "").partition("\n")[0],
        )

    def _away(self, error: Exception) -> BackendError:
        first = str(error).partition("\n")[0]
        return BackendError(
            f"--address {self._address}: the job API does not answer any more ({first})"
        )
