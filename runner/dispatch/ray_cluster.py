"""The Ray cluster as a backend needs it: connect, make actors, kill them, who is draining."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runner.core.errors import BackendError
from runner.dispatch.ray_actors import CoordinatorActor, WorkerActor
from runner.dispatch.ray_calls import RemoteMethod

STORE_BYTES = 80 << 20
"""Only the specification lies in the object store of a local Ray."""
TRIES = 3
"""Ray 2.60 gives its agent 15 s to start, fixed in the code; on a busy machine that fails."""
REACH_S = 10.0


class Actor(Protocol):
    """Handle of one of our actors."""

    def __getattr__(self, name: str) -> RemoteMethod:
        """Return a method of it."""
        ...


class _ActorClass(Protocol):
    def options(self, **options: object) -> _ActorClass: ...

    def remote(self) -> Actor: ...


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A connection to Ray."""

    owned: bool
    """This process started it, and ends it."""
    local: bool
    each: Mapping[str, float] = field(default_factory=dict[str, float])
    """What a worker asks for, in Ray's accounting, beside the default of one CPU."""
    streams: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Holds standard output back: Ray's listener prints there what happens to processes of the
    cluster, whatever `log_to_driver` says, and it belongs to what a command says (`--json`)."""

    @classmethod
    def connect(
        cls, address: str | None, workers: int, each: Mapping[str, float] | None = None
    ) -> RayCluster:
        """Join a cluster, or start a local Ray with a CPU per worker; blocks for seconds.

        A connection that this process has already is used as it is, and left alone in the end.

        Args:
            address: of a cluster; None: a local one is started.
            workers: for so many.
            each: see `each`.

        Raises:
            BackendError: it cannot be reached or started.
        """
        if ray.is_initialized():
            return cls(owned=False, local=address is None, each=each or {})
        logging.getLogger("ray").setLevel(logging.ERROR)
        if address is None:
            _start(workers)
        else:
            _join(address)
        cluster = cls(owned=True, local=address is None, each=each or {})
        cluster.streams.enter_context(contextlib.redirect_stdout(sys.stderr))
        return cluster

    def coordinator(self) -> Actor:
        """Make the coordinator actor: on the driver's node, since it is of no use without it."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        return _remote(CoordinatorActor).options(num_cpus=0, scheduling_strategy=here).remote()

    def worker(self) -> Actor:
        """Make a worker actor: spread over the nodes that have what it asks for, never on a GPU."""
        own = {k: v for k, v in self.each.items() if k not in {"CPU", "memory"}}
        asked: dict[str, object] = {"num_cpus": self.worker_cpus, "resources": own}
        if "memory" in self.each:
            asked["memory"] = self.each["memory"]
        return _remote(WorkerActor).options(**asked, scheduling_strategy="SPREAD").remote()

    @property
    def worker_cpus(self) -> float:
        """CPUs that a worker asks for."""
        return self.each.get("CPU", 1)

    def asked(self) -> str:
        """Return what workers ask for, in words."""
        more = {"CPU": self.worker_cpus, **self.each}
        return ", ".join(f"{n:g} {name}" for name, n in more.items()) + " each"

    def share(self, value: object) -> object:
        """Put a value into the object store once; its reference may be an argument of calls."""
        return ray.put(value)

    def renew(self, actor: Actor) -> None:
        """Kill an actor's process; Ray starts it again, on a node that takes new work."""
        ray.kill(cast("ActorHandle[object]", actor), no_restart=False)

    def kill(self, actor: Actor) -> None:
        """Kill an actor for good."""
        ray.kill(cast("ActorHandle[object]", actor), no_restart=True)

    def cpus(self) -> int:
        """Return the CPUs of all nodes, in Ray's accounting."""
        return int(ray.cluster_resources().get("CPU", 0))

    def draining(self) -> frozenset[str]:
        """Return the ids of the nodes that are about to be taken away; blocks."""
        from ray._private.state import state  # noqa: PLC0415  # as Ray Train does

        return frozenset(state.get_draining_nodes())

    def close(self) -> None:
        """Leave; ends a Ray that this process started."""
        if self.owned:
            ray.shutdown()
        self.streams.close()


def _remote(kind: type) -> _ActorClass:
    # A call is never repeated by Ray: what it did before a crash is unknown to it.
    return cast("_ActorClass", ray.remote(max_restarts=-1, max_task_retries=0)(kind))


def _start(workers: int) -> None:
    last: Exception | None = None
    for _ in range(TRIES):
        try:
            ray.init(
                address="local",  # whatever RAY_ADDRESS says: a cluster is joined when asked for
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=STORE_BYTES,
            )
        except Exception as error:  # noqa: BLE001  # Ray raises plain Exception here
            last = error
            ray.shutdown()
        else:
            return
    msg = (
        f"Ray did not start on this machine in {TRIES} tries: {last}\n"
        "If the machine is busy, try later, or run in this process: leave --workers out"
    )
    raise BackendError(msg) from last


def _join(address: str) -> None:
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:
        msg = (
            f"--address {address}: no Ray cluster can be joined there: {error}\n"
            "Is it running, on Ray "
            f"{ray.__version__}, with the same RAY_AUTH_MODE? Without --address one is started here"
        )
        raise BackendError(msg) from error


def _reach(address: str) -> None:
    """Find out within seconds that nobody listens there: Ray tries for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), REACH_S).close()
