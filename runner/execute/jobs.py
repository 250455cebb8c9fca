"""The jobs a worker holds: queued, running, finished and not yet published.

Runs as many rollouts as the gates allow, each a task of its own; hands back what it may not or
need not finish. The one place where an exception of a single job is contained: a bad job is data,
not the end of the worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from runner.config.schema import EngineConfig
from runner.core.errors import StorageError
from runner.core.values import Budget, EndState, Failure, FailureKind, Job
from runner.execute.attempt import Caller, GaveUp, HandBack, Spent
from runner.execute.endpoints import Endpoint
from runner.execute.messages import Lease
from runner.execute.outbox import Outbox
from runner.execute.replay import Progressed, replay
from runner.execute.worklog import WorkLog
from runner.providers.classify import FAILURES
from runner.record.frames import DeadFrame
from runner.scenarios.any_book import AnyBook

_LOG = logging.getLogger(__name__)


class _Phase(Enum):
    QUEUED = 0
    RUNNING = 1
    FINISHED = 2


@dataclass(slots=True)
class _Held:
    lease: Lease
    endpoint: Endpoint
    phase: _Phase = _Phase.QUEUED
    spent: Spent = field(default_factory=Spent)
    progress: Progressed | None = None
    task: asyncio.Task[None] | None = None
    handing_back: bool = False
    coming: bool = False
    """Begun, and has not asked for a place yet."""
    size: int = 0
    """Transcript bytes in memory while it runs."""


class Jobs:
    """What one worker incarnation was granted."""

    def __init__(
        self,
        *,
        book: AnyBook,
        endpoints: dict[str, Endpoint],
        caller: Caller,
        outbox: Outbox,
        bounds: EngineConfig,
        on_hungry: Callable[[], None],
        log: WorkLog,
    ) -> None:
        """Start with nothing held; `on_hungry` is told when a queue ran dry with places free."""
        self.draining = False
        self.finished_count: Counter[str] = Counter()
        """Finished since the start, per model."""
        self.unpublished: Counter[str] = Counter()
        """Finished and not known to be in the manifest, per model."""
        self._book = book
        self._endpoints = endpoints
        self._dispatching = False
        self._loop: asyncio.AbstractEventLoop | None = None
        for endpoint in endpoints.values():
            endpoint.warmth.on_wait = self._dispatch_soon
        self._caller = caller
        self._outbox = outbox
        self._bounds = bounds
        self._on_hungry = on_hungry
        self._log = log
        self._held: dict[Job, _Held] = {}
        self._queues: dict[str, deque[Job]] = {name: deque() for name in book.plan.models}
        """Of the models under test; actors have no jobs of their own."""
        self._running: Counter[str] = Counter()
        self._away: Counter[str] = Counter()
        """Running rollouts whose present call goes to another model, per model under test."""
        self._running_bytes = 0
        self._returned: dict[Job, Lease] = {}
        self._confirmed: dict[Job, Lease] = {}
        """Hand-backs with answers that a coordinator has seen: its successor knows nothing of them."""
        self._begun: dict[Job, dict[int, int]] = {}
        """Attempt numbers used for jobs handed back: should one return, its attempts get new ids."""

    def held(self) -> tuple[Job, ...]:
        """Return every job granted and neither handed back nor published."""
        return tuple(self._held)

    def returned(self) -> tuple[Lease, ...]:
        """Return what was handed back and not yet confirmed."""
        return tuple(self._returned.values())

    def queued(self) -> dict[str, int]:
        """Return the jobs not started, per model."""
        return {name: len(queue) for name, queue in self._queues.items()}

    def next_cells(self, model: str) -> Iterator[int]:
        """Yield the cells of a model's jobs that have not started, in the order of their start."""
        return (job.cell for job in self._queues.get(model, ()))

    def prefixes(self) -> dict[int, float]:
        """Return what is to be said of cached prefixes (see `Heartbeat.prefixes`)."""
        if not any(e.caches for e in self._endpoints.values()):
            return {}
        cells = {
            job.cell: held.endpoint.warmth
            for job, held in self._held.items()
            if held.endpoint.caches and held.phase is not _Phase.FINISHED
        }
        return {cell: warmth.left_s(cell) for cell, warmth in cells.items()}

    def told(self, readable: Mapping[int, float], elsewhere: Iterable[int]) -> None:
        """Take in what a reply says of cached prefixes (see `HeartbeatReply`)."""
        model_of = self._book.plan.cell
        for name, endpoint in self._endpoints.items():
            if endpoint.caches:
                endpoint.warmth.told(
                    {cell: left for cell, left in readable.items() if model_of(cell).model == name},
                    frozenset(cell for cell in elsewhere if model_of(cell).model == name),
                )

    def running(self) -> int:
        """Return how many rollouts run."""
        return sum(self._running.values())

    def unfinished(self, model: str) -> int:
        """Return how many jobs of a model are queued or running."""
        return len(self._queues[model]) + self._running[model]

    @property
    def idle(self) -> bool:
        """Return whether nothing is queued or running."""
        return not any(self._queues.values()) and not any(self._running.values())

    def accept(self, leases: Iterable[Lease]) -> None:
        """Take grants; one already held, or just handed back, is not taken twice."""
        for lease in leases:
            if lease.job in self._held or lease.job in self._returned or self.draining:
                continue
            endpoint = self._endpoints[self._book.plan.cell(lease.job.cell).model]
            self._held[lease.job] = _Held(lease, endpoint)
            self._confirmed.pop(lease.job, None)
            if endpoint.gate.closed:
                self._hand_back(lease.job)
            else:
                self._queues[endpoint.name].append(lease.job)

    def revoke(self, jobs: Iterable[Job]) -> None:
        """Hand back what is not on the wire and not finished; the rest after its present call."""
        for job in jobs:
            held = self._held.get(job)
            if held is not None:
                held.spent.revoked = held.phase is _Phase.RUNNING
                self._release_if_idle(held)

    def confirm_returned(self, jobs: Iterable[Job]) -> None:
        """Stop repeating hand-backs that the coordinator has seen."""
        for job in jobs:
            lease = self._returned.pop(job, None)
            if lease is not None and lease.carried:
                self._confirmed[job] = lease

    def tell_again(self) -> None:
        """Repeat for a new coordinator the hand-backs that only those before were told of."""
        self._returned |= self._confirmed
        self._confirmed.clear()

    def published(self, jobs: Iterable[Job]) -> None:
        """Forget jobs whose rows are in the manifest."""
        for job in jobs:
            held = self._held.pop(job, None)
            if held is not None and held.phase is _Phase.FINISHED:
                self.unpublished[held.endpoint.name] -= 1

    def stop_model(self, model: str, reason: str) -> None:
        """Let no further request of a model go out; its unfinished jobs are handed back."""
        endpoint = self._endpoints[model]
        endpoint.health.on_stop(reason)
        endpoint.gate.close()
        if model in self._queues:
            self._queues[model].clear()
        for held in list(self._held.values()):
            if held.endpoint is endpoint:
                self._release_if_idle(held)

    def drain(self) -> None:
        """Start nothing more: what is on the wire ends, everything else is handed back."""
        self.draining = True
        for endpoint in self._endpoints.values():
            endpoint.gate.close()
        for queue in self._queues.values():
            queue.clear()
        for held in list(self._held.values()):
            self._release_if_idle(held)

    def abandon(self) -> None:
        """Hand back even what is on the wire: the grace period is over."""
        for held in list(self._held.values()):
            if held.phase is _Phase.RUNNING and held.task is not None:
                held.handing_back = True
                held.task.cancel()

    def kill(self) -> None:
        """Cancel every rollout; what is journalled is kept by the journal."""
        for held in self._held.values():
            if held.task is not None:
                held.task.cancel()

    def _dispatch_soon(self) -> None:
        """Look again what can start, once for all that ask in this turn of the loop."""
        if not self._dispatching:
            self._dispatching = True
            self._running_loop().call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Start queued jobs as far as gates and memory allow."""
        self._dispatching = False
        for name, queue in self._queues.items():
            endpoint = self._endpoints[name]
            gate, tally = endpoint.gate, endpoint.tally
            room = gate.room() if queue else 0
            while (
                queue
                and room > 0
                and self._running[name] - tally.waiting - self._away[name] < gate.slots
                and self._running_bytes < self._bounds.max_in_flight_bytes
            ):
                room -= 1
                self._start(self._held[queue.popleft()])
            if not queue and not gate.closed and self._running[name] < gate.slots:
                self._on_hungry()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # Asked for once: each time costs a system call (Python 3.11).
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _start(self, held: _Held) -> None:
        held.phase = _Phase.RUNNING
        held.coming = True
        held.endpoint.gate.coming += 1
        self._running[held.endpoint.name] += 1
        held.task = self._running_loop().create_task(self._run(held))

    async def _run(self, held: _Held) -> None:
        end: GaveUp | HandBack | None
        try:
            end = await self._rollout(held)
        except asyncio.CancelledError:
            if not held.handing_back:
                raise
            end = HandBack(reason="stopping")
        except StorageError as error:
            end = HandBack(reason=str(error))
        except Exception as error:  # noqa: BLE001  # one job's bug must not end the worker's others
            _LOG.exception("job %s failed inside the runner", held.lease.job)
            message = f"{type(error).__name__}: {error}"[:500]
            end = GaveUp(failure=Failure(kind=FailureKind.INTERNAL, message=message))
        try:
            await self._close(held, end)
        except (asyncio.CancelledError, StorageError):
            if not held.handing_back:
                raise
            self._hand_back(held.lease.job)
        finally:
            self._arrive(held)
            self._running[held.endpoint.name] -= 1
            self._running_bytes -= held.size
            held.endpoint.health.forget(held.lease.job)
            held.task = None
        self._dispatch_soon()

    async def _rollout(self, held: _Held) -> GaveUp | HandBack | None:
        """Run to the end (None) or to a reason why not."""
        job = held.lease.job
        held.progress = progress = replay(
            job,
            lambda: self._book.rollout(job),
            lambda actor: self._endpoint(held, actor).provider,
            held.lease.carried,
        )
        for attempt in progress.attempts:
            if attempt.incarnation != self._caller.incarnation:
                # Its own disk may be out of reach when this worker's answers are to be replayed.
                self._caller.journal.copy(attempt)
        progress.begun = self._begun.pop(job, progress.begun)
        if progress.attempts:
            failures = [a.failure.kind for a in progress.attempts if a.failure]
            own = [kind for kind in failures if FAILURES[kind].budget is Budget.JOB]
            held.spent.job_failures = len(own)
        while not progress.ended:
            if held.spent.revoked:
                return HandBack(reason="revoked")
            endpoint = self._endpoint(held, progress.rollout.actor)
            prepared = endpoint.provider.prepare(progress.conversation, job.seed)
            size = len(prepared.body) + progress.size()
            if size > self._bounds.max_record_bytes:
                return GaveUp(failure=_too_large(self._bounds.max_record_bytes))
            self._resize(held, size)
            self._arrive(held)
            away = endpoint is not held.endpoint
            self._away[held.endpoint.name] += away
            try:
                outcome = await self._caller.call(progress, held.spent, endpoint, prepared)
            finally:
                self._away[held.endpoint.name] -= away
            if isinstance(outcome, GaveUp | HandBack):
                if away and endpoint.health.stopped is not None:
                    # Leased again at once, the job would go round for ever.
                    held.endpoint.health.on_stop(
                        f"{endpoint.name}, which plays a role, stopped: {endpoint.health.stopped}"
                    )
                return outcome
            progress.take(outcome, progress.attempts[-1])
        return None

    def _endpoint(self, held: _Held, actor: str | None) -> Endpoint:
        return held.endpoint if actor is None else self._endpoints[actor]

    async def _close(self, held: _Held, end: GaveUp | HandBack | None) -> None:
        job, progress = held.lease.job, held.progress
        if isinstance(end, HandBack):
            self._log.detail("job handed back", job, model=held.endpoint.name)
            self._hand_back(job)
            return
        at = self._caller.clock.wall()
        if progress is None:
            # The rollout could not even be built: a dead letter with an empty conversation.
            progress = Progressed.unbuilt(job)
        if end is None:
            finished = progress.finished(at)
        else:
            row = FAILURES[end.failure.kind]
            state = row.end_state or EndState.FAILED
            error = f"{end.failure.kind.value}: {end.failure.message}"
            frame = DeadFrame(job=job, end_state=state, error=error, finished_at=at)
            await self._caller.durably(lambda: self._caller.journal.append(frame))
            finished = progress.finished(at, state, error)
        tell = self._log.detail if end is None else self._log.tell
        tell("job ended", job, model=held.endpoint.name, end_state=finished.end_state.value)
        held.phase = _Phase.FINISHED
        held.progress = None
        self.finished_count[held.endpoint.name] += 1
        held.endpoint.tally.ended[finished.end_state.value] += 1
        self.unpublished[held.endpoint.name] += 1
        self._outbox.add(finished)

    def _arrive(self, held: _Held) -> None:
        if held.coming:
            held.coming = False
            held.endpoint.gate.coming -= 1

    def _resize(self, held: _Held, size: int) -> None:
        self._running_bytes += size - held.size
        held.size = size

    def _release_if_idle(self, held: _Held) -> None:
        if held.phase is _Phase.QUEUED:
            queue = self._queues[held.endpoint.name]
            if held.lease.job in queue:
                queue.remove(held.lease.job)
            self._hand_back(held.lease.job)
        elif held.phase is _Phase.RUNNING and held.spent.waiting and held.task is not None:
            held.handing_back = True
            held.task.cancel()

    def _hand_back(self, job: Job) -> None:
        held = self._held.pop(job)
        if held.progress is not None and held.progress.begun:
            self._begun[job] = held.progress.begun
        attempts = held.progress.attempts if held.progress else held.lease.carried
        carried = tuple(attempts) if any(a.answer for a in attempts) else ()
        self._returned[job] = Lease(job=job, carried=carried)


def _too_large(limit: int) -> Failure:
    return Failure(
        kind=FailureKind.RESPONSE_TOO_LARGE,
        message=f"the transcript exceeds engine.max_record_bytes ({limit:,} bytes)",
    )
