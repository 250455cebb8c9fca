"""The SLURM script on a real SLURM: killed, preempted, requeued, and every job once.

On one node of this host, and on two machines of their own (tests/support/machines.py), where the script
goes by `ray symmetric-run`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, CliSweep
from tests.support.debian import program
from tests.support.machines import Network, need_root
from tests.support.slurm import Slurm
from tests.support.standin import StandIn

pytestmark = [pytest.mark.chaos, pytest.mark.debian]
SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm" / "sweep.sbatch"
COMMANDS = Path(sys.executable).parent


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    program("sbatch")
    program("munged")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons of this test need root")
    with Slurm() as running:
        yield running


@pytest.fixture
def network() -> Iterator[Network]:
    need_root()
    with Network() as network:
        yield network


class Job:
    """The script as a job."""

    def __init__(self, slurm: Slurm, sweep: CliSweep, folder: Path, *, nodes: int) -> None:
        """Submit it."""
        config = folder / "c.yaml"
        config.write_text(json.dumps(sweep.config))
        self._slurm = slurm
        self._server = sweep.server
        self._log = folder / "job.out"
        self._hastened: set[int] = set()
        said = slurm.run(
            *("sbatch", "--parsable", f"--nodes={nodes}", "--cpus-per-task=1"),
            *(f"--output={self._log}", f"--chdir={folder}"),
            *(str(SCRIPT), str(config), f"output={sweep.directory}"),
            RUNNER_COMMAND=str(COMMANDS / "runner"),
            RUNNER_RESULT=str(folder / "runner.exit"),  # else it lies where the job was submitted
            RUNNER_TEST_KEY=KEY,
            PATH=f"{COMMANDS}:{os.environ['PATH']}",
        )
        self.id = said.strip()

    @property
    def said(self) -> str:
        """All that it printed."""
        return self._log.read_text() if self._log.exists() else ""

    def until_calls(self, more: int, within_s: float = 60.0) -> None:
        """Wait until the model API has read so many more calls."""
        target = self._server.stats()["total"] + more
        self._until(lambda: self._server.stats()["total"] >= target, within_s)

    def until_requeued(self, times: int) -> None:
        """Wait until it runs for the so-manyth time again."""

        def runs_again() -> bool:
            state = self._slurm.state(self.id)
            if state["JobState"] == "PENDING" and times not in self._hastened:
                # By default it waits for two minutes. At once would be too soon: SLURM revokes
                # what was issued in the second of the requeue.
                self._hastened.add(times)
                self._slurm.run("scontrol", "update", f"jobid={self.id}", "starttime=now+3")
            return state["JobState"] == "RUNNING" and int(state["Restarts"]) == times

        self._until(runs_again, 60)

    def until_completed(self) -> None:
        """Wait for its end, which must be in order."""
        self._until(lambda: self._slurm.state(self.id)["JobState"] == "COMPLETED", 120)
        assert self._slurm.state(self.id)["ExitCode"] == "0:0"

    def _until(self, condition: Callable[[], bool], within_s: float) -> None:
        try:
            self._slurm.until(condition, within_s)
        except AssertionError as error:
            msg = f"{error}\n== job\n{self.said}"
            raise AssertionError(msg) from None


def test_job_killed_and_preempted_is_requeued_and_ends_with_every_job_once(
    tmp_path: Path, server: StandIn, slurm: Slurm
) -> None:
    with CliSweep(tmp_path, server, [], jobs=600) as sweep:
        job = Job(slurm, sweep, tmp_path, nodes=1)
        job.until_calls(60)
        os.kill(sweep.coordinator(), signal.SIGKILL)  # the command, as if its node were lost
        job.until_requeued(1)
        job.until_calls(60)
        slurm.run("scancel", "--batch", "--signal=TERM", job.id)  # as before the time limit
        job.until_requeued(2)
        sweep.hurry()
        job.until_completed()
        assert "ended with exit code 137" in job.said
        assert "Continue with: runner resume" in job.said
        assert "ended with exit code 0" in job.said
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)


@pytest.mark.root
@pytest.mark.long
@pytest.mark.timeout(900)
def test_job_of_two_nodes_runs_on_both_by_symmetric_run_and_goes_on_by_itself_when_rays_head_dies(
    tmp_path: Path, network: Network
) -> None:
    program("sbatch")
    program("munged")
    nodes = [network.add(name) for name in ("n1", "n2")]
    with (
        StandIn(network.host_ip, latency_s=0.1, answer_bytes=500) as server,
        Slurm(nodes, network.host_ip) as slurm,
        CliSweep(tmp_path, server, [], jobs=2000) as sweep,
    ):
        job = Job(slurm, sweep, tmp_path, nodes=2)
        job.until_calls(100, 120)
        (head,) = nodes[0].find("gcs_server")
        os.kill(head, signal.SIGKILL)
        job.until_requeued(1)
        sweep.hurry()
        job.until_completed()
        assert "ended with exit code 137" in job.said
        assert all(server.stats()["callers"][node.ip] for node in nodes)
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
