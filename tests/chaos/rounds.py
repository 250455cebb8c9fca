"""One round of a campaign: a sweep, the faults that strike it, and how much they may cost.

Paid calls may be repeated as ARCHITECTURE.md ("Bounds") says: what was on the wire when a process or a
link was lost; with a bucket, whose journals lie on disks of machines that nobody else reads, also what
was answered and in no seal yet. Both are counted at the moment of each fault.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from runner.core.errors import StorageError
from tests.chaos.faults import Fault
from tests.chaos.lab import Lab
from tests.support.cli_sweep import CliSweep
from tests.support.machines import Network

Act = Callable[[], None]
STEP_S = 240.0
"""Until the next fault, and until the end."""
SETTLE_S = 0.2
"""After a fault: answers that were under way then are counted as answered."""
HELD = 3
"""Exit code of a command that finds the sweep held by another one, which it may have killed."""


@dataclass(slots=True)
class _Lasting:
    """A fault that ends by itself."""

    until: float
    """Monotonic seconds."""
    undo: Act
    costs: bool
    """Workers may lose their leases through it, and what they have not sealed is asked again."""
    unsealed: int = 0
    """The most that was answered and in no seal, while it lasted."""


class Round:
    """One sweep and its faults."""

    def __init__(self, lab: Lab, sweep: CliSweep, unsealed: Callable[[], int]) -> None:
        """Take a sweep that has not begun.

        Args:
            lab: where it runs.
            sweep: the sweep.
            unsealed: returns the answered jobs that are in no seal; 0 where every journal is read.
        """
        self.lab = lab
        self.sweep = sweep
        self.allowed = 0
        """Calls that may be repeated after all faults so far."""
        self._unsealed = unsealed
        self._session = sweep.start()
        self._killed = False
        """The driver was killed by us."""
        self._lasting: dict[tuple[str, int], _Lasting] = {}
        """What ends by itself, by kind and side."""
        self._strike: dict[str, Callable[[Fault], None]] = {
            "worker": self._worker,
            "pause": self._pause,
            "clock": self._clock,
            "coordinator": self._coordinator,
            "driver": self._driver,
            "everything": self._everything,
            "raylet": self._raylet,
            "machine": self._machine,
            "head": self._head,
            "cut": self._cut,
            "mute": self._mute,
            "deaf": self._deaf,
            "slow": self._slow,
            "store": self._store,
            "full": self._full,
        }

    def run(self, faults: list[Fault]) -> None:
        """Let everything happen, and let the sweep end.

        Raises:
            AssertionError: it does not end, or ends as it may not.
        """
        try:
            for fault in faults:
                target = self.lab.server.stats()["total"] + fault.after
                self._until(lambda target=target: self.lab.server.stats()["total"] >= target)
                if self._session.poll() is None:
                    self._strike[fault.kind](fault)
            self._mend()
            self.sweep.hurry()
            self._until(lambda: False)
        finally:
            self._mend()

    def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition or for the sweep's end; start it again where it died."""
        deadline = time.monotonic() + STEP_S
        while not condition():
            assert time.monotonic() < deadline, f"took too long:\n{self.sweep.screen[-3000:]}"
            self._mend(time.monotonic())
            code = self._session.poll()
            if code == 0:
                return
            if code is not None:
                expected = self._killed or code == HELD
                assert expected, f"ended with {code} by itself:\n{self.sweep.screen[-3000:]}"
                self._session, self._killed = self.sweep.start(), False
            time.sleep(0.05)

    def _mend(self, now: float = math.inf) -> None:
        """End what has lasted long enough; what lasts may cost the most that it did meanwhile."""
        for key, lasting in list(self._lasting.items()):
            if lasting.costs:
                lasting.unsealed = max(lasting.unsealed, self._unsealed())
            if lasting.until <= now:
                del self._lasting[key]
                lasting.undo()
                self.allowed += lasting.unsealed

    def _lasts(self, fault: Fault, do: Act, undo: Act, *, costs: bool = True) -> None:
        """Begin what ends by itself; of one kind at one place, the later one takes over."""
        key = fault.kind, fault.side
        if key in self._lasting:
            self._lasting.pop(key).undo()
        do()
        self._lasting[key] = _Lasting(time.monotonic() + fault.for_s, undo, costs)
        self.allowed += self.sweep.in_flight

    def _costs(self) -> None:
        """Count what the fault may cost that struck just now."""
        time.sleep(SETTLE_S)
        self.allowed += self.sweep.in_flight + self._unsealed()

    # Processes

    def _worker(self, fault: Fault) -> None:
        if pids := self.sweep.workers():
            _signal(pids[fault.side % len(pids)], signal.SIGKILL)
            self._costs()

    def _pause(self, fault: Fault) -> None:
        if pids := self.sweep.workers():
            stop = partial(_signal, pids[fault.side % len(pids)])
            self._lasts(fault, partial(stop, signal.SIGSTOP), partial(stop, signal.SIGCONT))

    def _coordinator(self, _: Fault) -> None:
        # What is answered stays with the workers: nothing may be asked twice.
        with contextlib.suppress(StorageError, ValueError):  # the store is away, it has not begun
            _signal(self.sweep.coordinator(), signal.SIGKILL)

    def _driver(self, _: Fault) -> None:
        self.sweep.kill_driver()
        self._killed = True
        self._costs()  # its workers end with it, in order or not

    def _everything(self, _: Fault) -> None:
        self.sweep.kill_all()
        self._killed = True
        self._costs()

    # Ray and machines: what is started needs links in order

    def _raylet(self, fault: Fault) -> None:
        self._mend()
        self.lab.nodes[fault.side].kill()
        self._costs()
        self.lab.new_node(fault.side)

    def _machine(self, fault: Fault) -> None:
        self._mend()
        self.lab.cut_power(fault.side)
        self._costs()
        self.lab.new_machine(fault.side)

    def _head(self, _: Fault) -> None:
        self._mend()
        self.lab.head.kill()
        self.sweep.kill_driver()
        self._killed = True
        self._costs()
        self.lab.new_head()
        self.sweep.move(self.lab.placement, self.lab.hub)

    # Links, disks, clocks, the store

    def _cut(self, fault: Fault) -> None:
        machine, net = self.lab.sides[fault.side], self.lab.net
        self._lasts(fault, partial(net.unplug, machine), partial(net.plug, machine))

    def _mute(self, fault: Fault) -> None:
        ends = self.lab.sides[fault.side], self.lab.hub
        self._lasts(fault, partial(Network.mute, *ends), partial(Network.unmute, *ends))

    def _deaf(self, fault: Fault) -> None:
        ends = self.lab.hub, self.lab.sides[fault.side]
        self._lasts(fault, partial(Network.mute, *ends), partial(Network.unmute, *ends))

    def _slow(self, fault: Fault) -> None:
        machine, net = self.lab.sides[fault.side], self.lab.net
        self._lasts(fault, partial(net.slow, machine, 256), partial(net.fast, machine))

    def _clock(self, fault: Fault) -> None:
        rng = random.Random(fault.after)
        machine = rng.choice([self.lab.hub, *self.lab.sides])
        self.lab.set_clock(machine, rng.choice([-86400.0, -7200.0, -30.0, 45.0, 3600.0, 86400.0]))

    def _store(self, fault: Fault) -> None:
        store = self.lab.store
        self._lasts(fault, store.kill, store.start_if_dead, costs=False)

    def _full(self, fault: Fault) -> None:
        machine = self.lab.sides[fault.side]
        self._lasts(fault, machine.fill_disk, machine.empty_disk, costs=False)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
