"""What a campaign runs on, all of it real and all of it to be lost: machines, Ray, S3, a model API.

hub     Ray's head, the driver, the coordinator; no CPU for workers
left    a Ray node with room for one worker
right   the same
host    the model API and the S3 server, which every machine reaches through the switch
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Self

from tests.support.cli_sweep import KEY
from tests.support.machines import Machine, Network
from tests.support.ray_head import RayHead, RayNode
from tests.support.s3_server import S3Server
from tests.support.standin import StandIn

SIDES = ("left", "right")
CLOCK = Path(__file__).parents[1] / "support" / "offset_clock"


class Lab:
    """A context manager; `renew` after a failure."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.net = Network()
        self.server: StandIn
        self.store: S3Server
        self.hub: Machine
        self.head: RayHead
        self.sides: list[Machine] = []
        self.nodes: list[RayNode] = []
        self._stack = contextlib.ExitStack()
        self._rays = contextlib.ExitStack()
        self._old = contextlib.ExitStack()
        """Nodes of heads that are gone: their workers may be there yet."""

    def __enter__(self) -> Self:
        self._stack.enter_context(self.net)
        self.server = self._stack.enter_context(StandIn(self.net.host_ip))
        self.store = self._stack.enter_context(S3Server(self.net.host_ip))
        self.hub = self.net.add("hub")
        self.sides = [self.net.add(side) for side in SIDES]
        # This process looks into the bucket, too.
        os.environ.update(self.store.environ, RUNNER_CACHE=str(self.net.folder / "cache"))
        self.new_head()
        return self

    def __exit__(self, *_: object) -> None:
        self.bury()
        self._rays.close()
        self._stack.close()

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of every process of a sweep."""
        disk = self.hub.disk  # the same path on each machine, and another disk
        return {
            "RUNNER_TEST_KEY": KEY,
            "RUNNER_STATE": str(disk / "state"),
            "RUNNER_TEST_WALL_OFFSET_FILE": str(disk / "clock"),
            "PYTHONPATH": str(CLOCK),
            **self.store.environ,
        }

    @property
    def placement(self) -> list[str]:
        """Where a sweep runs now."""
        return ["--address", self.head.address, "--workers", str(len(SIDES))]

    def journals(self) -> list[Path]:
        """Return where journals of sweeps in a bucket lie."""
        states = (m.seen(m.disk / "state" / "journal") for m in self.net.machines)
        return [folder for state in states for folder in state.glob("*")]

    def clear(self) -> None:
        """Forget what a sweep left on the machines, and set their clocks right."""
        for machine in self.net.machines:
            shutil.rmtree(machine.seen(machine.disk / "state"), ignore_errors=True)
            self.set_clock(machine, 0.0)

    def renew(self) -> None:
        """Make all of Ray anew, and mend every link, disk and clock."""
        self._rays.close()
        self.bury()
        for machine in (self.hub, *self.sides):
            self.net.crash(machine)
        self.hub = self.net.add("hub")
        self.sides = [self.net.add(side) for side in SIDES]
        self.store.start_if_dead()
        self.new_head()

    def new_head(self) -> None:
        """Start a head and its nodes; the nodes of the last head stay until `bury`."""
        self._old.push(self._rays.pop_all())
        self.head = self._rays.enter_context(RayHead(0, machine=self.hub, **self.environ))
        self.nodes = [self._node(side) for side in range(len(SIDES))]

    def bury(self) -> None:
        """End what is left of earlier heads."""
        self._old.close()

    def new_node(self, side: int) -> None:
        """Start Ray on a machine again."""
        self.nodes[side] = self._node(side)

    def cut_power(self, side: int) -> None:
        """End all that runs on a machine, and its disk with it."""
        self.net.crash(self.sides[side])
        self.nodes[side].kill()

    def new_machine(self, side: int) -> None:
        """Put another machine in the place of one without power."""
        self.sides[side] = self.net.add(SIDES[side])
        self.new_node(side)

    def set_clock(self, machine: Machine, offset_s: float) -> None:
        """Set a machine's wall clock off."""
        (machine.seen(machine.disk) / "clock").write_text(str(offset_s))

    def _node(self, side: int) -> RayNode:
        name = SIDES[side]
        node = RayNode(self.head, name, machine=self.sides[side], **self.environ)
        return self._rays.enter_context(node)
