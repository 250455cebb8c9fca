"""One call of a rollout: attempts until an answer is durable, or until there is nothing to gain.

The one retry layer (tenacity, with our own wait and stop; the SDK's is off), and the one place
that turns a failed attempt into a decision. The decision itself is the table of
`providers/classify.py`. A place at the model's gate is held only while a request is on the wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from runner.config.schema import RetryConfig
from runner.core.errors import StorageError
from runner.core.money import counted
from runner.core.seams import Clock
from runner.core.values import (
    Amount,
    Answer,
    Attempt,
    Budget,
    Failure,
    FailureKind,
    Prepared,
    Reply,
    Stop,
)
from runner.execute.endpoints import Endpoint
from runner.execute.gate import no_cost
from runner.execute.purse import PAUSE_S, RATE_LIMITS
from runner.execute.replay import Progressed
from runner.execute.worklog import WorkLog
from runner.limits.backoff import delay_s
from runner.limits.wallet import Ticket
from runner.providers.classify import FAILURES
from runner.providers.protocol import Provider
from runner.record.frames import AttemptFrame
from runner.record.journal import Journal

JOURNAL_RETRY_S = 0.5
_SERVER = frozenset({FailureKind.SERVER_ERROR, FailureKind.TIMEOUT})
"""What an outage looks like beside overload and networks, which are never the job's fault."""
_AWAY = frozenset({FailureKind.OVERLOADED, FailureKind.CONNECTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """The job is a dead letter."""

    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBack:
    """Not the job's fault: it is owed again."""

    reason: str


@dataclass(slots=True, kw_only=True)
class Spent:
    """What one job has used of its allowances."""

    job_failures: int = 0
    waited_s: dict[Budget, float] = field(default_factory=dict[Budget, float])
    """Slept before retries, by the budget that it counts against."""
    waiting: bool = False
    """Waits for a place or sleeps before a retry: may be cancelled without losing anything."""
    revoked: bool = False
    """Another worker has it: no further request, what is on the wire ends and is kept."""


@dataclass(slots=True, kw_only=True)
class Caller:
    """Makes calls for all rollouts of a worker."""

    incarnation: str
    clock: Clock
    journal: Journal
    policy: RetryConfig
    draw: Callable[[], float]
    """A uniform draw in [0, 1), for jitter."""
    storage_trouble: Callable[[str | None], None]
    """Told of a journal that refuses writes, and with None when it takes them again."""
    pause_group: Callable[[str, float], None]
    """Told of a quota group that a 429 has paused, and for how many seconds."""
    log: WorkLog
    keep_trying: Callable[[], bool] = field(default=lambda: True)

    async def call(
        self, progress: Progressed, spent: Spent, endpoint: Endpoint, prepared: Prepared
    ) -> Reply | GaveUp | HandBack:
        """Send until an answer is journalled, the job's budget is used up or waiting is pointless.

        Appends every attempt to `progress.attempts`.

        Raises:
            StorageError: the journal refused an answer and the worker is told to stop trying.
        """
        first = await self._once(progress, spent, endpoint, prepared)
        if not isinstance(first, Failure):
            return first
        pending: list[Reply | Failure | HandBack] = [first]

        async def attempt() -> Reply | Failure | HandBack:
            # The common case (the first attempt is answered) never pays for tenacity's machinery.
            return (
                pending.pop() if pending else await self._once(progress, spent, endpoint, prepared)
            )

        verdict: list[GaveUp | HandBack] = []

        def stop(state: RetryCallState) -> bool:
            failure = _failure_of(state)
            end = self._end(progress, spent, endpoint, failure)
            if end is not None:
                verdict.append(end)
            return end is not None

        def wait(state: RetryCallState) -> float:
            failure = _failure_of(state)
            delay = delay_s(
                state.attempt_number,
                self.draw(),
                retry_after_s=failure.retry_after_s,
                initial_s=self.policy.wait_initial_s,
                maximum_s=self.policy.wait_max_s,
            )
            if failure.kind not in RATE_LIMITS and not endpoint.outage:
                delay = max(delay, endpoint.retries.take(self.clock.monotonic()))
            budget = FAILURES[failure.kind].budget
            spent.waited_s[budget] = spent.waited_s.get(budget, 0.0) + delay
            self.log.tell(
                "attempt failed, it is tried again",
                progress.job,
                model=endpoint.name,
                turn=progress.turn,
                attempt=state.attempt_number,
                kind=failure.kind.value,
                status=failure.status,
                wait_s=round(delay, 2),
            )
            return delay

        async def sleep(seconds: float) -> None:
            endpoint.tally.waiting += 1
            spent.waiting = True
            try:
                await self.clock.sleep(seconds)
            finally:
                endpoint.tally.waiting -= 1
                spent.waiting = False

        retrying = AsyncRetrying(
            retry=retry_if_result(lambda outcome: isinstance(outcome, Failure)),
            stop=stop,
            wait=wait,
            sleep=sleep,
            retry_error_callback=lambda _: verdict[-1],
        )
        return await retrying(attempt)

    def _end(
        self, progress: Progressed, spent: Spent, endpoint: Endpoint, failure: Failure
    ) -> GaveUp | HandBack | None:
        """Decide after a failure whether trying goes on (None)."""
        row = FAILURES[failure.kind]
        if row.stop is Stop.MODEL:
            endpoint.health.on_stop(_reason(failure, row.cause))
        elif row.stop is Stop.MODEL_IF_REPEATED:
            endpoint.health.on_repeated(progress.job, _reason(failure, row.cause))
        if endpoint.health.stopped is not None and row.stop is not Stop.JOB:
            endpoint.gate.close()
            return HandBack(reason=endpoint.health.stopped)
        if spent.revoked:
            return HandBack(reason="revoked")
        if not row.retry:
            return GaveUp(failure=failure)
        waited_s = spent.waited_s.get(row.budget, 0.0)
        if row.budget is Budget.JOB:
            # Not for ever: jobs that all fail by themselves look like an outage at a sweep's end.
            patient = waited_s < self.policy.infrastructure_wait_s
            outage = patient and (endpoint.outage or endpoint.health.outage)
            spent.job_failures += not (outage and failure.kind in _SERVER)
            if spent.job_failures >= self.policy.job_failures:
                return GaveUp(failure=failure)
        elif waited_s >= self._patience_s(row.budget):
            return HandBack(reason=failure.message)
        return None

    def _patience_s(self, budget: Budget) -> float:
        return {
            Budget.RATE_LIMIT: self.policy.rate_limit_wait_s,
            Budget.OVERLOAD: self.policy.overload_wait_s,
        }.get(budget, self.policy.infrastructure_wait_s)

    async def _once(
        self, progress: Progressed, spent: Spent, endpoint: Endpoint, prepared: Prepared
    ) -> Reply | Failure | HandBack:
        """Send one attempt, once what it shares with others can be read from the cache."""
        cache_s, cell = prepared.cache_s, progress.job.cell
        if cache_s is None:
            return await self._attempt(progress, spent, endpoint, prepared)
        leads = False
        if endpoint.warmth.cold(cell):
            endpoint.tally.waiting += 1
            spent.waiting = True
            try:
                leads = await endpoint.warmth.enter(cell)
            finally:
                endpoint.tally.waiting -= 1
                spent.waiting = False
        outcome: Reply | Failure | HandBack | None = None
        try:
            begun = partial(endpoint.warmth.begun, cell, cache_s) if leads else None
            outcome = await self._attempt(
                progress, spent, endpoint, prepared, begun, reads=not leads
            )
            return outcome
        finally:
            if isinstance(outcome, Reply):
                endpoint.warmth.begun(cell, cache_s)
            elif leads:
                endpoint.warmth.failed(cell)

    async def _attempt(
        self,
        progress: Progressed,
        spent: Spent,
        endpoint: Endpoint,
        prepared: Prepared,
        begun: Callable[[], None] | None = None,
        *,
        reads: bool | None = None,
    ) -> Reply | Failure | HandBack:
        """Send one attempt; its outcome is durable when this returns.

        `reads`: it reads its prefix from the cache (True) or writes it; None: it shares none.
        """
        now, gate, payer = self.clock.monotonic, endpoint.gate, endpoint.payer
        purse, asked, job, turn = gate.purse, now(), progress.job, progress.turn
        spent.waiting = True
        admitted = await self._admit(progress, endpoint, len(prepared.body), reads)
        spent.waiting = False
        if admitted is None:
            return HandBack(reason=endpoint.health.stopped or "stopping")
        ticket, amount = admitted
        number = progress.begin()
        if number == 1:
            endpoint.retries.first_attempt()
        sent = ended = False
        try:
            self.journal.note(job, turn, number, amount if payer.limited else None)
            started_at, started = self.clock.wall(), now()
            sent = True
            outcome = await endpoint.provider.send(prepared, begun)
            latency_s = now() - started
            reply = _read(endpoint.provider, outcome)
            trouble = isinstance(reply, Failure) and (
                reply.kind in _AWAY
                or (reply.kind in _SERVER and (endpoint.outage or endpoint.health.is_news(job)))
            )
            if purse is not None:
                purse.heard(outcome.headers)
                purse.end(
                    ticket,
                    reply,
                    cell=job.cell,
                    characters=len(prepared.body),
                    latency_s=latency_s,
                    trouble=trouble,
                    now=now(),
                    reads=reads,
                )
            endpoint.heed(answered=isinstance(reply, Reply), trouble=trouble)
            ended = True
        finally:
            if not sent:
                gate.unsent(ticket, amount)
            elif purse is not None and not ended:
                purse.wallet.ended(ticket)
            gate.release()
        counts = counted(endpoint.tariff, reply, started_at, amount)
        attempt = Attempt(
            job=job,
            turn=turn,
            number=number,
            incarnation=self.incarnation,
            started_at=started_at,
            latency_s=latency_s,
            request_digest=prepared.digest,
            answer=outcome if isinstance(reply, Reply) and isinstance(outcome, Answer) else None,
            failure=reply if isinstance(reply, Failure) else None,
            role=progress.rollout.role,
            actor=progress.rollout.actor,
            waited_s=started - asked,
            quota=endpoint.quota_note,
            counted=counts,
        )
        await self.durably(partial(self.journal.append, AttemptFrame(attempt)))
        progress.attempts.append(attempt)
        gate.paid(amount, counts, answered=isinstance(reply, Reply))
        endpoint.tally.count(reply, trouble=trouble)
        endpoint.tally.spend(endpoint.tariff, reply, started_at)
        self._watch(endpoint, attempt, reply)
        return reply

    async def _admit(
        self, progress: Progressed, endpoint: Endpoint, characters: int, reads: bool | None
    ) -> tuple[Ticket, Amount] | None:
        """Wait until a call may start, with what is set aside for it; None: the gate is closed."""
        gate, payer, cost = endpoint.gate, endpoint.payer, no_cost

        def ask() -> Amount:
            return payer.asks(characters, self.clock.wall())

        if gate.purse is not None:
            begins = progress.turn == 0 and not progress.attempts
            cost = gate.purse.asks(progress.job.cell, characters, first=begins, reads=reads)
        admitted = await gate.acquire(cost, ask)
        while admitted is not None and payer.limited and not self.journal.writable:
            # A note that is in no file dies with this process, and what the call cost unseen.
            gate.unsent(*admitted)
            gate.release()
            await self.durably(self.journal.durable)
            admitted = await gate.acquire(cost, ask)
        if reads is False and admitted is not None:
            endpoint.warmth.sent(progress.job.cell)
        return admitted

    def _watch(self, endpoint: Endpoint, attempt: Attempt, reply: Reply | Failure) -> None:
        if isinstance(reply, Reply):
            endpoint.health.on_answer()
            return
        now = self.clock.monotonic()
        if reply.kind is FailureKind.CONNECTION:
            tried_s = attempt.latency_s if reply.error_type == "connect_timeout" else 0.0
            endpoint.health.on_connection_failure(reply.message, now, tried_s=tried_s)
        elif reply.kind in _SERVER:
            endpoint.health.on_server_failure(attempt.job, reply.message, now)
        else:
            endpoint.health.on_other_failure()
        if reply.kind in RATE_LIMITS:
            # The whole group waits, not only this job; its own jitter comes on top.
            self.pause_group(endpoint.group, reply.retry_after_s or PAUSE_S)

    async def durably(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write to the journal until it takes it: what is paid for is kept until it is durable."""
        while True:
            try:
                await write()
            except StorageError as error:
                self.storage_trouble(str(error))
                if not self.keep_trying():
                    raise
                await self.clock.sleep(JOURNAL_RETRY_S)
            else:
                self.storage_trouble(None)
                return


def _read(provider: Provider, outcome: Answer | Failure) -> Reply | Failure:
    """Read an answer; what an unusable one's response said of itself goes into its failure."""
    if isinstance(outcome, Failure):
        return outcome
    reply = provider.read(outcome.body)
    if isinstance(reply, Failure):
        return replace(
            reply,
            request_id=outcome.request_id,
            simulated=outcome.simulated,
            headers=outcome.headers,
        )
    return reply


def _reason(failure: Failure, cause: str) -> str:
    status = "" if failure.status is None else f" (HTTP {failure.status})"
    return f"{cause}{status}: {failure.message}"


def _failure_of(state: RetryCallState) -> Failure:
    outcome = state.outcome
    result = outcome.result() if outcome is not None else None
    if not isinstance(result, Failure):
        msg = f"a retry decision needs a failure, got {result!r}"
        raise TypeError(msg)
    return result
