"""Judges a simulated sweep against design section 2, at every step and at the end.

It knows only what anybody could see: the store's objects, the journal disks, and the API's own
account of its calls. At every change of the store it looks at the directory as a plain glob would.

Repeated calls. A call is *repeated* where its answer was paid for and delivered, and another call
for the same job and turn was started afterwards. It is excused if
  * its answer was in no journal when its process was killed or its host crashed (in flight at that
    moment), or it was, but the host's disk has lost it; or
  * the lease of its process ended between the start of the call and that of the repetition, and
    the answer was not durable by then (in flight at the moment of the fence); or
  * its process has died, was fenced or belongs to a superseded fleet, and its journal lies on a
    disk that could not be read by the coordinator that leased the job again: it was the last of
    the fleet of the process that repeats, and was not handed in to the store long before. So does an answer that builds on one of that kind, which
    nobody can use without it. A worker may go on with such a lease under a later claim
    whose host can read that disk.
Every other repetition is a violation. So repeated calls are at most the calls in flight at each
kill and each fence and, where journals are out of reach, what those journals hold.

Calls in flight. Never more than a model's number, but for those of a worker that the present
coordinator cannot know of: its lease is from an earlier claim and has ended, and its journal lies
on a disk that the coordinator's host cannot read.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import orjson
import pyarrow.parquet as pq

from runner.core.values import Budget, EndState, FailureKind, Job
from runner.limits.authority import GRACE_S, LEAD_S
from runner.limits.bucket import CREDIT_S, DEBT_S, MOST
from runner.providers.classify import FAILURES
from runner.record import layout
from tests.dst.api import ANSWER, MAX_TOKENS, OUTPUT_TOKENS, Call, SimApi
from tests.dst.disk import DiskState, SimFile
from tests.dst.store import Mutation, StoreState
from tests.dst.world import SimHost, SimProcess, World

HEARD_S = 60.0
"""Of a journal that was handed in: until then a job may have been leased again without it, and its
first call may have waited."""
AMBIGUOUS = {FailureKind.TIMEOUT, FailureKind.CONNECTION, FailureKind.TRUNCATED_RESPONSE}
CLOCK_SLACK_S = 0.01
"""Clocks of hosts run at rates of their own; a lease of ten seconds differs by a millisecond."""


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the oracle reads of a transcript."""

    job: Job
    end_state: EndState
    calls: tuple[int, ...]
    """Numbers of the API calls whose answers it holds, by turn."""
    text: str


@dataclass(slots=True)
class Outage:
    """A process or host was out of reach; `until` is None while it lasts."""

    host: str
    process: str | None
    since: float
    until: float | None = None


@dataclass(slots=True, kw_only=True)
class Expectation:
    """The plan, as the oracle needs it."""

    jobs: frozenset[Job]
    max_in_flight: dict[str, int]
    rollout_end: Callable[[Job, list[bytes]], tuple[int, EndState] | None]
    """Number of bodies after which the job's rollout has ended, and how; None if it goes on."""
    job_failures: int
    suspect_deaths: int
    lease_ttl_s: float
    rpm: float = 0.0
    """Of each quota group; 0.0: no quota."""
    itpm: float = 0.0
    """Input tokens, likewise; then every job is one call."""
    otpm: float = 0.0
    """Output tokens, of which a call reserves MAX_TOKENS, and keeps what its answer has."""
    shared_quota: bool = False
    budget_usd: float | None = None
    """As the user has set it last."""
    call_usd: float = 0.0
    """What each answered call costs."""


@dataclass(slots=True)
class Oracle:
    """Hooks into the world; the first violation ends the run through `broken`."""

    world: World
    store: StoreState
    api: SimApi
    expect: Expectation
    broken: Callable[[ViolationError], None]
    outages: list[Outage] = field(default_factory=list)
    shown: dict[Job, str] = field(default_factory=dict)
    """Job to the object in transcripts/ that holds its row, as a glob sees it now."""
    rows: dict[Job, Row] = field(default_factory=dict)
    dead_letters: dict[Job, str] = field(default_factory=dict)
    shown_attempts: dict[str, str] = field(default_factory=dict)
    kept_calls: set[int] = field(default_factory=set)
    """Calls whose answers lie in an attempts shard that a won entry names."""
    kept_jobs: set[Job] = field(default_factory=set)
    """Jobs that a won entry records, as rows or dead letters."""
    written: dict[int, dict[SimFile, int]] = field(default_factory=dict)
    """Call to the journal files that hold its answer, and the offset behind it."""
    durable_at: dict[int, float] = field(default_factory=dict)
    """Call to the moment its answer was first synced."""
    vanished: set[int] = field(default_factory=set)
    """Calls whose answers a host crash took off its disk."""
    killed_with: set[int] = field(default_factory=set)
    """Delivered calls that were in no journal when their process died."""
    won: dict[str, str] = field(default_factory=dict)
    """Target of every move that a won entry names, to its source."""
    claims: dict[int, SimProcess] = field(default_factory=dict)
    claimed_at: dict[int, float] = field(default_factory=dict)
    head: int = 0
    _stored: dict[str, SimFile] = field(default_factory=dict)
    """Journals that were handed in, by key."""
    _stored_at: dict[str, float] = field(default_factory=dict)
    _stored_disk: DiskState = field(default_factory=lambda: cast("DiskState", object()))
    """What they lie on: no host's disk."""
    _unsynced: dict[SimFile, dict[int, int]] = field(default_factory=dict)
    _decoded: dict[bytes, object] = field(default_factory=dict)

    def attach(self) -> None:
        """Listen to the store, the API and every disk there is."""
        self.store.on_mutation.append(self._guarded(self.on_mutation))
        self.api.on_start.append(self._guarded(self.on_call))
        for disk in {id(h.disk): h.disk for h in self.world.hosts.values() if h.disk}.values():
            disk.on_change.append(self._guarded(self.on_disk))
            disk.on_delete.append(self._guarded(self.on_unlink))
            disk.on_crash.append(self._guarded(self.on_disk_crash))

    def _guarded(self, hook):
        def call(*args: object) -> None:
            try:
                hook(*args)
            except ViolationError as error:
                self.broken(error)

        return call

    def fail(self, what: str) -> NoReturn:
        """Raise a violation, dated."""
        msg = f"at {self.world.now:.4f}: {what}"
        raise ViolationError(msg)

    # Outages, as the schedule announces them.

    def out_of_reach(self, host: str, process: str | None = None) -> Outage:
        """Note that a process (or all of a host) is out of reach from now on."""
        outage = Outage(host, process, self.world.now)
        self.outages.append(outage)
        return outage

    def was_out_of_reach(self, process: SimProcess, since: float, until: float) -> bool:
        """Return whether an outage of the process overlaps a span of time."""
        return any(
            o.host in (process.host.name, "*")
            and o.process in (None, process.name)
            and o.since <= until
            and (o.until is None or o.until >= since)
            for o in self.outages
        )

    # The directory.

    def on_mutation(self, change: Mutation) -> None:
        """Look at the directory after one change of it."""
        folder = change.key.partition("/")[0]
        if folder == "manifest":
            self._manifest(change)
        elif folder in layout.KINDS:
            self._published(folder, change)
        elif layout.handed_in_of(change.key) is not None:
            self._handed_in(change)

    def _handed_in(self, change: Mutation) -> None:
        """A journal lies in the store from now on, where all hosts read it, or it goes."""
        if change.kind != "delete":
            size = len(change.data)
            file = SimFile(
                change.key,
                self._stored_disk,
                change.process.host,
                bytearray(change.data),
                durable=size,
                named=True,
            )
            self._stored[change.key] = file
            self._stored_at[file.name] = self.world.now
            for found in ANSWER.finditer(file.data):
                self.written.setdefault(int(found[1]), {})[file] = found.end()
        elif (file := self._stored.pop(change.key, None)) is not None:
            self.on_unlink(file.disk, file, change.process)

    def _manifest(self, change: Mutation) -> None:
        number = layout.entry_number(change.key)
        if number is None:
            return
        if change.kind != "create":
            self.fail(f"manifest entry changed by {change.kind}: {change.key}")
        if number != self.head + 1:
            self.fail(f"manifest entry {number} after {self.head}")
        self.head = number
        entry = json.loads(change.data)
        kind = entry["kind"]
        if kind == "claim":
            self.claims[number] = change.process
            self.claimed_at[number] = self.world.now
        else:
            last = max(self.claims, default=0)
            if not last:
                self.fail(f"entry {number} without a claim before it")
            if self.claims[last] is not change.process:
                self.fail(
                    f"{change.process.name} was fenced by claim {last} of"
                    f" {self.claims[last].name} and appended entry {number}"
                )
        if kind == "publish":
            self._won(entry)

    def _won(self, entry: dict[str, object]) -> None:
        for source, target in entry["moves"]:  # type: ignore[attr-defined]
            data = self.store.objects.get(source)
            if data is None:
                self.fail(f"entry names {source}, which is not there")
            self.won[target] = source
            folder = target.partition("/")[0]
            if folder == "transcripts":
                for row in self.transcripts(data):
                    if row.job in self.kept_jobs and row.job in self.rows:
                        self.fail(f"{row.job} is recorded and published again by {source}")
                    self.rows[row.job] = row
                    self.kept_jobs.add(row.job)
                    self._row(row, target)
            elif folder == "failures":
                for job, error in self.failures(data).items():
                    self._dead_letter(job, error)
                    self.kept_jobs.add(job)
                    self.dead_letters[job] = target
            else:
                self.kept_calls.update(n for n in self.attempts(data).values() if n is not None)

    def _published(self, folder: str, change: Mutation) -> None:
        if change.kind == "delete":
            self.fail(f"{change.key} was deleted by {change.process.name}")
        if self.won.get(change.key) != change.source or change.source is None:
            self.fail(f"{change.key} appeared without a won entry ({change.kind})")
        if folder == "transcripts":
            for row in self.transcripts(change.data):
                other = self.shown.setdefault(row.job, change.key)
                if other != change.key:
                    self.fail(f"{row.job} is in {other} and in {change.key}")
        elif folder == "attempts":
            for attempt in self.attempts(change.data):
                other = self.shown_attempts.setdefault(attempt, change.key)
                if other != change.key:
                    self.fail(f"attempt {attempt} is in {other} and in {change.key}")

    def _row(self, row: Row, where: str) -> None:
        """A row's answers are answers that the API gave for that job, one history long."""
        if row.job not in self.expect.jobs:
            self.fail(f"{where}: {row.job} is not in the plan")
        bodies: list[bytes] = []
        for turn, number in enumerate(row.calls):
            call = self.api.calls[number]
            told = (call.job, call.turn, call.history)
            if told != (row.job, turn, row.calls[:turn]) or not call.paid:
                self.fail(f"{where}: turn {turn} of {row.job} holds call {number}: {told}")
            bodies.append(self.api.body(call))
            text = json.loads(bodies[-1])["text"]
            if text and text not in row.text:
                self.fail(f"{where}: the text of call {number} is not in the row of {row.job}")
        ended = self.expect.rollout_end(row.job, bodies)
        if ended is None or ended[0] != len(bodies):
            after = None if ended is None else ended[0]
            self.fail(f"{where}: {row.job} has {len(bodies)} turns, its rollout ends after {after}")
        if ended[1] is not row.end_state:
            self.fail(f"{where}: {row.job} is {row.end_state}, its rollout {ended[1]}")

    def _dead_letter(self, job: Job, error: str) -> None:
        """A dead letter is the job's own fault, by the table."""
        calls = [c for c in self.api.calls if c.job == job]
        if job in self.api.habits.deadly or (calls and self.api.is_bad(job)):
            return
        own = sum(1 for c in calls if c.failure and FAILURES[c.failure].budget is Budget.JOB)
        if own < self.expect.job_failures and not self._died_alone(calls):
            self.fail(f"{job} is a dead letter after {own} failures of its own: {error}")

    def _died_alone(self, calls: list[Call]) -> bool:
        """Return whether a job was on the wire in enough deaths, at last with nothing beside it.

        A worker that is killed from outside just then convicts an innocent: nobody can tell.
        """
        flying = [c for c in calls if c.process.killed and c.number not in self.written]
        if len(flying) <= self.expect.suspect_deaths:
            return False
        last = flying[-1]
        return not any(
            c.process is last.process and c.failure is None and c.number not in self.written
            for c in self.api.calls
            if c is not last
        )

    # Calls and journals.

    def on_call(self, call: Call) -> None:
        """A request arrived: quotas, durability of what it builds on, repetitions."""
        if call.process.lease_until + CLOCK_SLACK_S < self.world.now:
            self.fail(
                f"call {call.number} was started by {call.process.name}, whose lease had ended at"
                f" {call.process.lease_until:.4f}"
            )
        limit = self.expect.max_in_flight[call.model]
        if self.api.in_flight[call.model] > limit:
            flying = [c for c in self.api.calls if c.open and c.model == call.model]
            known = sum(not self._unknown(c.process) for c in flying)
            if known > limit:
                self.fail(f"{known} calls of {call.model} in flight, not {limit}")
        if self.expect.rpm:
            self._quota(call)
        if self.expect.itpm:
            self._input(call)
        if self.expect.otpm:
            self._output(call)
        if self.expect.budget_usd is not None:
            self._budget(call, self.expect.budget_usd)
        for number in call.history:
            if not self.durable(number):
                self.fail(
                    f"call {call.number} builds on the answer of call {number}, not durable yet"
                )
        for other in self._same.setdefault((call.job, call.turn, call.history), []):
            if other.digest != call.digest:
                self.fail(f"calls {other.number} and {call.number}: another request, same history")
        for other in self._of_turn[call.job, call.turn]:
            if other.paid and other.delivered is not None:
                self._repetition(other, call)
        self._same[call.job, call.turn, call.history].append(call)
        self._of_turn[call.job, call.turn].append(call)

    def _budget(self, call: Call, budget_usd: float) -> None:
        """What was answered and what is on the wire cost no more than the budget, all together.

        Each call costs the same, and sets no less aside, so that there is nothing to excuse.
        """
        flying = sum(self.api.in_flight.values())
        usd = (self.api.paid + flying) * self.expect.call_usd
        if usd > budget_usd + 1e-6:
            self.fail(
                f"call {call.number}: {self.api.paid} answered calls and {flying} on the wire cost"
                f" {usd:.2f} USD, the budget is {budget_usd:.2f}"
            )

    def budget_used_up(self, unproven_usd: float) -> None:
        """Check that a sweep which says so has spent its budget, as far as it can know.

        What may have been spent: calls that ended with nothing said of their cost, and what workers
        drew whose journal no coordinator could read, so that nothing proves what became of it.
        """
        assert self.expect.budget_usd is not None
        doubtful = sum(
            not c.paid and (c.open or c.process.killed or c.failure in AMBIGUOUS)
            for c in self.api.calls
        )
        left = self.expect.budget_usd - self.api.paid * self.expect.call_usd
        if left > (2 + 2 * doubtful) * self.expect.call_usd + unproven_usd + 1e-6:
            self.fail(f"{left:.2f} USD are left, with {doubtful} doubtful calls")

    def _quota(self, call: Call) -> None:
        """The server's request bucket, whose burst covers only what late messages may shift.

        A bucket of b requests that refills at r a second is never overdrawn exactly where in no
        window of w seconds more than r * w + b requests start.
        """
        rate = self.expect.rpm / 60
        group = "q" if self.expect.shared_quota else call.model
        burst = 1.0 + rate * (GRACE_S + self.api.slowest_beat_s + CLOCK_SLACK_S)
        level, at = self._buckets.get(group, (burst, self.world.now))
        level = min(burst, level + rate * (self.world.now - at)) - 1.0
        if level < -1e-6:
            self.fail(
                f"call {call.number} of {call.model} is {-level:.2f} requests beyond the quota of"
                f" {self.expect.rpm:.0f} a minute with a burst of {burst:.1f}"
            )
        self._buckets[group] = level, self.world.now

    def _input(self, call: Call) -> None:
        """The server's bucket of input tokens, whose burst covers what the mirror may save up.

        The mirror's level is at most CREDIT_S of refill above nought. With it, one grant may be laid
        out for LEAD_S at 1 + CREDIT_S / DEBT_S of the refill, and what is saved is used once; late
        messages shift permits as they do those of requests. What nobody can know before a
        process has seen an answer of a condition is the size of its prompts: what they take
        beyond a token for four characters is a surprise, which the true-up makes good within
        the time that permits reach ahead and its debt takes to be paid.
        """
        rate = self.expect.itpm / 60
        group = "q" if self.expect.shared_quota else call.model
        late_s = GRACE_S + self.api.slowest_beat_s + CLOCK_SLACK_S
        saved_s = CREDIT_S + LEAD_S * CREDIT_S / DEBT_S
        burst = rate * (saved_s + late_s) + 1.02 * call.input_tokens
        level, at = self._inputs.get(group, (burst, self.world.now))
        level = min(burst, level + rate * (self.world.now - at)) - call.input_tokens
        self._inputs[group] = level, self.world.now
        known = any(
            c.process is call.process and c.delivered is not None and c.job.cell == call.job.cell
            for c in self._of_cell[call.job.cell]
        )
        self._of_cell[call.job.cell].append(call)
        surprises = self._surprises[group]
        if not known:
            surprises.append((self.world.now, call.input_tokens - call.characters / 4))
        kept_s = self.api.habits.latency_s + LEAD_S + 4 * DEBT_S + late_s
        surprise = sum(tokens for when, tokens in surprises if self.world.now - when <= kept_s)
        if level < -surprise - 1e-6:
            self.fail(
                f"call {call.number} of {call.model} is {-level - surprise:.1f} input tokens beyond"
                f" the quota of {self.expect.itpm:.0f} a minute with a burst of {burst:.0f} and"
                f" surprises of {surprise:.0f}"
            )

    def _output(self, call: Call) -> None:
        """The server's bucket of output tokens, of which a call takes the most it may have.

        As with input, but that the size is known, and what an answer leaves comes back: at the server
        when it ends, and in the mirror with a later heartbeat, whose grant may for LEAD_S be laid out
        at MOST times the refill. A call that was refused gives all back, other failures nothing.
        """
        rate = self.expect.otpm / 60
        group = "q" if self.expect.shared_quota else call.model
        late_s = GRACE_S + self.api.slowest_beat_s + CLOCK_SLACK_S
        burst = rate * (CREDIT_S + LEAD_S * (MOST - 1) + late_s) + 1.02 * MAX_TOKENS
        level, at, open_calls = self._outputs.get(group, (burst, self.world.now, []))
        still: list[Call] = []
        for other in open_calls:
            if other.open:
                still.append(other)
            elif other.refused:
                level += MAX_TOKENS
            elif other.paid:
                level += MAX_TOKENS - OUTPUT_TOKENS
        level = min(burst, level + rate * (self.world.now - at)) - MAX_TOKENS
        self._outputs[group] = level, self.world.now, [*still, call]
        if level < -1e-6:
            self.fail(
                f"call {call.number} of {call.model} is {-level:.1f} output tokens beyond the quota"
                f" of {self.expect.otpm:.0f} a minute with a burst of {burst:.0f}"
            )

    _outputs: dict[str, tuple[float, float, list[Call]]] = field(default_factory=dict)
    _inputs: dict[str, tuple[float, float]] = field(default_factory=dict)
    _of_cell: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    _surprises: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _same: dict[object, list[Call]] = field(default_factory=dict)
    _of_turn: dict[tuple[Job, int], list[Call]] = field(default_factory=lambda: defaultdict(list))

    def _repetition(self, first: Call, again: Call) -> None:
        number, process = first.number, first.process
        if number in self.vanished or number in self.killed_with:
            return
        if number not in self.written and process.dead:
            self.killed_with.add(number)
            return
        fenced = process.fenced_between(first.started, again.started)
        if fenced is not None and self.durable_at.get(number, fenced) >= fenced:
            return
        out = process.dead or fenced is not None or process.fleet != again.process.fleet
        host = self._leased_by(again.process).host
        known = (self.readable(n, host, again.started) for n in (number, *first.history))
        if out and not all(known):
            return
        self.fail(
            f"call {again.number} repeats call {number} of {first.job} turn {first.turn}, whose"
            f" answer {process.name} has had since {first.delivered:.4f}"
        )

    def _unknown(self, worker: SimProcess) -> bool:
        number = max(self.claims)
        return (
            worker.lease_until < self.world.now
            and worker.lease_until - self.expect.lease_ttl_s < self.claimed_at[number]
            and worker.host.disk is not self.claims[number].host.disk
        )

    def _leased_by(self, worker: SimProcess) -> SimProcess:
        """Return the last coordinator of a worker's fleet; nobody else leases anything to it."""
        return self.claims[max(n for n, p in self.claims.items() if p.fleet == worker.fleet)]

    def readable(self, number: int, host: SimHost, at: float) -> bool:
        """Return whether a host can read a journal with this answer, and had the time to."""
        return any(
            file.disk is host.disk
            or (file.disk is self._stored_disk and self._stored_at[file.name] + HEARD_S < at)
            for file in self.written.get(number, {})
        )

    def durable(self, number: int) -> bool:
        """Return whether an answer would survive everything but the loss of a disk."""
        if number in self.kept_calls:
            return True
        return any(end <= file.durable for file, end in self.written.get(number, {}).items())

    def on_disk(self, disk: DiskState, file: SimFile) -> None:
        """Follow what is written; what is synced shows in `SimFile.durable`."""
        for found in ANSWER.finditer(file.data, file.seen):
            self.written.setdefault(int(found[1]), {})[file] = found.end()
            self._unsynced.setdefault(file, {})[int(found[1])] = found.end()
        file.seen = max(0, len(file.data) - 16)
        waiting = self._unsynced.get(file, {})
        for number in [n for n, end in waiting.items() if end <= file.durable]:
            del waiting[number]
            self.durable_at.setdefault(number, self.world.now)

    def on_disk_crash(self, disk: DiskState) -> None:
        """Find out which answers the crash has taken."""
        for number, places in self.written.items():
            token = f'call-{number:06d}"}}'.encode()
            for file in [f for f in places if f.disk is disk]:
                whole = bytes(file.data[: places[file]]).endswith(token)
                if disk.files.get(file.name) is not file or not whole:
                    del places[file]
            if not places and number not in self.kept_calls:
                self.vanished.add(number)

    def on_unlink(self, disk: DiskState, file: SimFile, process: SimProcess) -> None:
        """A journal goes: everything in it must be in the manifest."""
        for number in sorted({int(n) for n in ANSWER.findall(file.data)}):
            places = self.written.get(number, {})
            end = places.pop(file, 0)
            # Its writer may drop what it never saw synced: it still has it, and waits.
            pending = end > file.durable and process is self.api.calls[number].process
            if number not in self.kept_calls and not places and not pending:
                self.fail(
                    f"{process.name} deleted journal {file.name} with the answer of call {number}"
                    f" of {self.api.calls[number].job}, which nothing else holds"
                )

    # The end.

    def at_the_end(self) -> None:
        """Check what must hold once the sweep says that it is complete."""
        missing = self.expect.jobs - set(self.shown) - set(self.dead_letters)
        if missing:
            self.fail(f"neither recorded nor a dead letter: {sorted(missing)}")
        for target in self.won:
            if target not in self.store.objects:
                self.fail(f"won but never moved: {target}")
        both = set(self.shown) & set(self.dead_letters)
        for job in both:
            if not self.api.is_bad(job) and len(self.processes_of(job)) < 2:
                self.fail(f"{job} is recorded and a dead letter, though one worker ran it")
        hidden = set(self.rows) - set(self.shown)
        if hidden:
            self.fail(f"in the manifest, not in transcripts/: {sorted(hidden)}")
        for call in self.api.calls:
            if call.delivered is not None and call.number not in self.kept_calls:
                self._lost(call)

    def nothing_left(self, host: SimHost) -> None:
        """After one more sweep, what a host can read of journals holds nothing unrecorded."""
        for call in self.api.calls:
            if call.number in self.kept_calls:
                continue
            places = self.written.get(call.number, {})
            left = [f.name for f in places if f.disk in (host.disk, self._stored_disk)]
            if left:
                self.fail(f"call {call.number} of {call.job} was never recovered from {left}")

    def processes_of(self, job: Job) -> set[str]:
        """Return the names of the processes that sent calls for a job."""
        return {c.process.name for c in self.api.calls if c.job == job}

    def _lost(self, call: Call) -> None:
        """A delivered answer is in no attempts shard: excused only by a death before the disk."""
        if self.written.get(call.number):
            return  # durable still: the next sweep finds it, see `nothing_left`
        gone = call.number in self.vanished or call.process.killed
        if gone or self.was_out_of_reach(call.process, call.started, 1e9):
            return
        self.fail(
            f"the paid answer of call {call.number} ({call.job} turn {call.turn}) is in no"
            " attempts shard and in no journal"
        )

    # Reading shards, once per content.

    def transcripts(self, data: bytes) -> list[Row]:
        """Return the rows of a transcripts part."""
        return self._read(data, _transcripts)  # type: ignore[return-value]

    def failures(self, data: bytes) -> dict[Job, str]:
        """Return the dead letters of a failures part."""
        return self._read(data, _failures)  # type: ignore[return-value]

    def attempts(self, data: bytes) -> dict[str, int | None]:
        """Return attempt id to API call of an attempts part (None for failed attempts)."""
        return self._read(data, _attempts)  # type: ignore[return-value]

    def _read(self, data: bytes, decode: Callable[[bytes], object]) -> object:
        if data not in self._decoded:
            try:
                self._decoded[data] = decode(data)
            except (ValueError, KeyError, OSError) as error:
                self.fail(f"a part cannot be read: {error!r}")
        return self._decoded[data]


def _columns(data: bytes, *names: str) -> list[dict[str, Any]]:
    if data[:1] == b"{":  # tests/dst/codec.py
        return orjson.loads(data)["rows"]
    table = pq.ParquetFile(io.BytesIO(data)).read(columns=list(names), use_threads=False)
    rows = table.to_pylist()
    for row in rows:
        if "request_ids" in row:
            row["request_ids"] = orjson.loads(row["request_ids"])
    return rows


def _number(request_id: str | None) -> int | None:
    return int(request_id.removeprefix("call-")) if request_id else None


def _transcripts(data: bytes) -> list[Row]:
    return [
        Row(
            Job(r["cell"], r["seed"]),
            EndState(r["end_state"]),
            tuple(int(i.removeprefix("call-")) for i in r["request_ids"]),
            r["messages"],
        )
        for r in _columns(data, "cell", "seed", "end_state", "request_ids", "messages")
    ]


def _failures(data: bytes) -> dict[Job, str]:
    rows = _columns(data, "cell", "seed", "error")
    return {Job(r["cell"], r["seed"]): str(r["error"]) for r in rows}


def _attempts(data: bytes) -> dict[str, int | None]:
    rows = _columns(data, "attempt_id", "request_id")
    return {r["attempt_id"]: _number(r["request_id"]) for r in rows}
