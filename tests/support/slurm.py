"""A real SLURM of two nodes, from Debian's packages; needs root.

Both nodes on this host, or each on a machine of its own (machines.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests.support.machines import Machine
from tests.support.ray_head import free_ports

START_S = 60.0
CONF = """\
ClusterName=t
SlurmctldHost={host}({ip})
AuthType=auth/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d-%n.pid
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmctldPort={ctld}
{nodes}
PartitionName=p Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """Controller and two node daemons; a context manager."""

    def __init__(self, machines: Sequence[Machine] = (), host_ip: str = "127.0.0.1") -> None:
        """Take two machines for nodes, which reach this host by its address; none: both here."""
        self._machines = machines
        self._ip = host_ip

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        (self.folder / "state").mkdir()
        ctld, d1, d2 = free_ports(3)
        host = socket.gethostname().partition(".")[0]
        at = {m.name: (m.name, m.ip) for m in self._machines} or dict.fromkeys(
            ("n1", "n2"), (host, "127.0.0.1")
        )
        names = list(at)
        nodes = [
            f"NodeName={n} NodeHostname={h} NodeAddr={ip} Port={p} CPUs=1 RealMemory=4000"
            for (n, (h, ip)), p in zip(at.items(), (d1, d2), strict=True)
        ]
        text = CONF.format(
            host=host,
            ip=self._ip,
            folder=self.folder,
            ctld=ctld,
            nodes="\n".join(nodes),
            names=",".join(names),
        )
        (self.folder / "slurm.conf").write_text(text)
        self._daemons: list[subprocess.Popen[bytes]] = []
        try:
            self._munge()
            self._daemon("slurmctld", "-D", "-c")
            for place, node in zip(self._machines or (None, None), names, strict=True):
                self._daemon("slurmd", "-D", "-N", node, place=place)
            self.until(lambda: self.run("sinfo", "-h", "-o", "%T %D").split() == ["idle", "2"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            if daemon.poll() is None:
                daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                os.kill(daemon.pid, signal.SIGKILL)
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, **environ: str) -> str:
        """Run one of SLURM's commands; returns what it prints."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "SLURM_CONF": f"{self.folder}/slurm.conf", **environ},
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self._logs()}"
        return done.stdout

    def state(self, job: str) -> dict[str, str]:
        """Return what SLURM knows of a job."""
        words = self.run("scontrol", "show", "job", job, "--oneliner").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def until(self, condition: Callable[[], object], within_s: float = START_S) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                if condition():
                    return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            assert time.monotonic() < deadline, f"took too long{self._logs()}"
            time.sleep(0.2)

    def _munge(self) -> None:
        """Start a munge daemon of our own, with its own key and socket."""
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        socket_path = folder / "munge.socket"
        with (self.folder / "slurm.conf").open("a") as conf:
            conf.write(f"AuthInfo=socket={socket_path}\n")
        self.folder.chmod(0o755)
        command = ["munged", "--foreground", "--force", f"--key-file={key}"]
        command += [f"--socket={socket_path}", f"--pid-file={folder}/pid"]
        command += [f"--log-file={folder}/log", f"--seed-file={folder}/seed"]
        with (self.folder / "munged.log").open("wb") as log:
            self._daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        self.until(socket_path.exists)

    def _daemon(self, name: str, *arguments: str, place: Machine | None = None) -> None:
        command = [name, "-f", f"{self.folder}/slurm.conf", *arguments]
        command = command if place is None else place.enter(*command)
        with (self.folder / f"{name}-{len(self._daemons)}.log").open("wb") as log:
            self._daemons.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _logs(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "".join(f"\n== {log.name}\n{log.read_text()[-2000:]}" for log in logs)
