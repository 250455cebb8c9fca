"""Several machines on this one, for tests: namespaces of Linux, joined by a switch of real links.

A machine has a network, processes, a host name, `/dev/shm`, `/tmp/ray` and a disk of its own, and knows
the others by name; the rest of the file system is shared, as an NFS mount would be. Every machine is a process tree below a small
init, which ends with the test that started it, however that ends: namespaces, links and mounts go with
it, and nothing is left on the host. Needs root.

    host ──cable── switch (bridge) ──link── machine a
                                   └─link── machine b

Links are cut both ways by taking the switch's end down, one way by a blackhole route on the sender, and
slowed by a token bucket (no netem and no iptables are needed).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import pytest

from runner.core.process import LinuxProcesses
from runner.core.seams import ProcessIdentity

INIT = Path(__file__).with_name("machine_init.py")
DISK_MB = 32
"""Of a machine's own disk: small, so that it is soon full."""


def need_root() -> None:
    """Skip the test where machines cannot be made.

    Raises:
        pytest.skip.Exception: not root, or a program of util-linux or iproute2 is missing.
    """
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    for program in ("ip", "tc", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt-get install iproute2 util-linux")


class Machine:
    """One machine; `crash` is a power cut."""

    def __init__(self, name: str, folder: Path) -> None:
        """Start it, without any link."""
        self.name = name
        self.ip = ""
        self.port = f"p-{name}"
        """Of the switch, where its link ends."""
        self.disk = folder / "disk"
        """Mount point of its own disk, the same path on every machine."""
        self.disk.mkdir(exist_ok=True)
        self._init = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--uts"),
                *("--ipc", "--mount-proc", "--", sys.executable, "-SE", str(INIT)),
                *(name, str(self.disk), str(DISK_MB), str(folder / "hosts")),
            ],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._init.stdout is not None
        ready, _, _ = select.select([self._init.stdout], [], [], 30)
        if not ready or self._init.stdout.readline().strip() != b"ready":
            self.crash()
            msg = f"machine {name} did not start"
            raise RuntimeError(msg)
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text()
        self.pid = int(children.split()[0])
        """Of its init, as this host sees it."""
        self.wire("ip", "link", "set", "lo", "up")

    def enter(self, *words: str) -> list[str]:
        """Return the command that runs a command there."""
        kinds = ("--net", "--pid", "--mount", "--uts", "--ipc", f"--wdns={Path.cwd()}")
        return ["nsenter", f"--target={self.pid}", *kinds, "--", *words]

    def run(self, *words: str) -> str:
        """Run a command there to its end, which must be in order; returns what it prints."""
        return _run(*self.enter(*words))

    def wire(self, *words: str) -> None:
        """Run a command in its network alone, with the processes of this host in sight."""
        _run("nsenter", f"--target={self.pid}", "--net", "--", *words)

    def seen(self, path: Path) -> Path:
        """Return how this host reaches a path of it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def find(self, program: str) -> list[int]:
        """Return its processes that run a program, by their pids on this host."""
        space = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (path / "cmdline").read_bytes().split(b"\0")[0].decode()
                if Path(command).name == program and (path / "ns/pid").readlink() == space:
                    found.append(int(path.name))
        return found

    def fill_disk(self) -> None:
        """Leave no room on its own disk."""
        with (
            contextlib.suppress(OSError),
            (self.seen(self.disk) / "ballast").open("wb", buffering=0) as ballast,
        ):
            while True:
                ballast.write(bytes(1 << 16))

    def empty_disk(self) -> None:
        """Make room again."""
        (self.seen(self.disk) / "ballast").unlink(missing_ok=True)

    def crash(self) -> None:
        """Cut its power: every process ends at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._init.pid, signal.SIGKILL)
        self._init.wait()
        if self._init.stdout is not None:
            self._init.stdout.close()


class Network:
    """A switch and the machines on it; a context manager."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.folder = Path()
        """Seen by this host and by every machine, under one path."""
        self.host_ip = ""
        """Of this host, on the switch."""
        self.machines: list[Machine] = []
        self._added = 0
        self._switch: Machine
        self._token = secrets.token_hex(3)
        # Addresses of RFC 2544, for tests of networks: no real one has them.
        self._net = f"198.{18 + secrets.randbelow(2)}.{secrets.randbelow(256)}"

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="machines-"))
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n")
        self._switch = Machine("switch", self.folder)
        self._switch.wire("ip", "link", "add", "br0", "type", "bridge")
        self._switch.wire("ip", "link", "set", "br0", "up")
        # One letter more than a link's name may have would be refused.
        cable = f"rt{self._token}"
        self.host_ip = f"{self._net}.254"
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "p-host")
        _run("ip", "link", "set", "p-host", "netns", str(self._switch.pid))
        self._switch.wire("ip", "link", "set", "p-host", "master", "br0", "up")
        _run("ip", "addr", "add", f"{self.host_ip}/24", "dev", cable)
        _run("ip", "link", "set", cable, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for machine in (*self.machines, self._switch):
            machine.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str) -> Machine:
        """Start a machine and plug it in."""
        machine = Machine(name, self.folder)
        self.machines.append(machine)
        self._added += 1
        machine.ip = f"{self._net}.{self._added}"
        switch, port = self._switch, machine.port
        switch.wire("ip", "link", "add", port, "type", "veth", "peer", "name", "far")
        switch.wire("ip", "link", "set", "far", "netns", str(machine.pid), "name", "eth0")
        switch.wire("ip", "link", "set", port, "master", "br0", "up")
        machine.wire("ip", "addr", "add", f"{machine.ip}/24", "dev", "eth0")
        machine.wire("ip", "link", "set", "eth0", "up")
        # Nobody forwards what goes there; programs that look which address they have find theirs.
        machine.wire("ip", "route", "add", "default", "via", self.host_ip)
        lines = ["127.0.0.1 localhost", *(f"{m.ip} {m.name}" for m in self.machines)]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")
        return machine

    def crash(self, machine: Machine) -> None:
        """Cut a machine's power; it is not seen again, and another one may take its name."""
        machine.crash()
        self.machines.remove(machine)
        with contextlib.suppress(RuntimeError):  # the kernel was faster
            self._switch.wire("ip", "link", "del", machine.port)

    def unplug(self, machine: Machine) -> None:
        """Let nothing through, either way."""
        self._switch.wire("ip", "link", "set", machine.port, "down")

    def plug(self, machine: Machine) -> None:
        """Undo `unplug`."""
        self._switch.wire("ip", "link", "set", machine.port, "up")

    def slow(self, machine: Machine, kbit: int) -> None:
        """Let so much through to the machine: kilobits a second."""
        bucket = ("tbf", "rate", f"{kbit}kbit", "burst", "32kb", "latency", "400ms")
        self._switch.wire("tc", "qdisc", "add", "dev", machine.port, "root", *bucket)

    def fast(self, machine: Machine) -> None:
        """Undo `slow`."""
        self._switch.wire("tc", "qdisc", "del", "dev", machine.port, "root")

    @staticmethod
    def mute(sender: Machine, receiver: Machine) -> None:
        """Drop all that one sends to the other; the way back stays open."""
        sender.wire("ip", "route", "add", "blackhole", f"{receiver.ip}/32")

    @staticmethod
    def unmute(sender: Machine, receiver: Machine) -> None:
        """Undo `mute`."""
        sender.wire("ip", "route", "del", "blackhole", f"{receiver.ip}/32")


def pid_here(process: ProcessIdentity) -> int | None:
    """Return the pid by which this host sees a process of any machine; None: it runs no more."""
    if (dead := LinuxProcesses().is_dead(process)) is not None:
        return None if dead else process.pid
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns/pid").readlink().name != process.pid_namespace:
                continue
            told = (path / "status").read_text().partition("NSpid:")[2].split("\n")[0].split()
            state = (path / "stat").read_text().rpartition(")")[2].split()
            if told[-1] == str(process.pid) and state[19] == process.started and state[0] != "Z":
                return int(path.name)
    return None


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode:
        msg = f"{' '.join(words)}: {done.stderr}"
        raise RuntimeError(msg)
    return done.stdout
