"""The SLURM script on a real SLURM: killed, preempted, requeued, and every job once."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, CliSweep
from tests.support.debian import program
from tests.support.slurm import Slurm
from tests.support.standin import StandIn

pytestmark = [pytest.mark.chaos, pytest.mark.debian]
SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm" / "sweep.sbatch"


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    program("sbatch")
    program("munged")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons of this test need root")
    with Slurm() as running:
        yield running


def test_job_killed_and_preempted_is_requeued_and_ends_with_every_job_once(
    tmp_path: Path, server: StandIn, slurm: Slurm
) -> None:
    with CliSweep(tmp_path, server, [], jobs=600) as sweep:
        config = tmp_path / "c.yaml"
        config.write_text(json.dumps(sweep.config))
        command = Path(sys.executable).parent / "runner"
        log = tmp_path / "job.out"
        said = slurm.run(
            *("sbatch", "--parsable", "--nodes=1", "--cpus-per-task=1", f"--output={log}"),
            *(f"--chdir={tmp_path}", str(SCRIPT), str(config), f"output={sweep.directory}"),
            RUNNER_COMMAND=str(command),
            RUNNER_TEST_KEY=KEY,
        )
        job = said.strip()

        hastened: set[int] = set()

        def calls(count: int) -> bool:
            return server.stats()["total"] >= count

        def requeued(times: int) -> bool:
            state = slurm.state(job)
            if state["JobState"] == "PENDING" and times not in hastened:
                # By default it waits for two minutes. At once would be too soon: SLURM revokes
                # what was issued in the second of the requeue.
                hastened.add(times)
                slurm.run("scontrol", "update", f"jobid={job}", "starttime=now+3")
            return state["JobState"] == "RUNNING" and int(state["Restarts"]) == times

        slurm.until(lambda: calls(60))
        os.kill(sweep.coordinator(), signal.SIGKILL)  # the command, as if its node were lost
        slurm.until(lambda: requeued(1), 60)
        before = server.stats()["total"]
        slurm.until(lambda: calls(before + 60))
        slurm.run("scancel", "--batch", "--signal=TERM", job)  # as before the time limit
        slurm.until(lambda: requeued(2))
        sweep.hurry()
        slurm.until(lambda: slurm.state(job)["JobState"] == "COMPLETED", 120)
        text = log.read_text()
        assert "ended with exit code 137" in text
        assert "Continue with: runner resume" in text
        assert "ended with exit code 0" in text
        assert slurm.state(job)["ExitCode"] == "0:0"
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
