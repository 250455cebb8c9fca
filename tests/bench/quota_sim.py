"""Quota figures in virtual time: simulated workers with real authority and wallets, a bucket server.

    .venv/bin/python -m tests.bench.quota_sim            # the table
    .venv/bin/python -m tests.bench.quota_sim output 1   # cases whose name has all these words

Server: `runner.simulate.limits.Quota`, one clock for all. Messages take 20-80 ms each way, workers
beat once a second, unsynchronised; an answer takes 1 s + tokens / 80 (`Load`). Headers are those of the
moment the answer is complete, token counts rounded to thousands. A case is measured for 5 minutes
after 10 s (60 s where it starts from nothing).
"""

from __future__ import annotations

import heapq
import itertools
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.limits.authority import Authority
from runner.limits.quota import Cost, GroupQuota, Meter, PermitBlock, Reading
from runner.limits.wallet import Ticket, Wallet
from runner.simulate.config import (
    ForeignConfig,
    GroupConfig,
    RampConfig,
    RemainingMeans,
    StepConfig,
)
from runner.simulate.limits import Limit, Permit, Quota, Refused
from runner.simulate.quota_headers import retry_after

WANT = 500
MOST_SIZES = 100


@dataclass(frozen=True, kw_only=True)
class Load:
    """One model's requests."""

    model: str = "m"
    input_mean: float = 400.0
    input_sigma: float = 0.3
    output_mean: float = 100.0
    output_sigma: float = 0.5
    delay_s: float = 1.0
    speed: float = 80.0
    """An answer takes `delay_s` and then `speed` tokens a second."""
    own: GroupConfig | None = None
    own_quota: GroupQuota | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    server: GroupConfig
    quota: GroupQuota
    meter: Meter = Meter.REQUESTS
    loads: tuple[Load, ...] = (Load(),)
    workers: int = 4
    busy: int | None = None
    start_s: float = 10.0
    for_s: float = 300.0
    kills_every_s: float | None = None
    down_s: float = 1.5
    least: float = 0.98
    most: float = 1.0
    most_refused: float = 0.001
    limit_factor: float = 1.0
    """Of the configured limit while measured."""
    settled_s: float | None = None
    """From then on, after `start_s`, every 10 s use what they should (`settled_after`)."""


@dataclass
class Outcome:
    used: float = 0.0
    refused: int = 0
    ended: int = 0
    starts: list[float] = field(default_factory=list)
    minute: float = 0.0
    by_model: dict[str, float] = field(default_factory=dict)
    refused_of: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """A request to come."""

    tokens_in: int
    tokens_out: int
    guess: float
    """Of its input: known from prompts within 10 %."""


@dataclass
class Worker:
    name: str
    wallets: dict[str, Wallet]
    busy: bool
    expected: dict[str, list[float]]
    output: dict[str, float]
    draws: dict[str, deque[Draw]] = field(default_factory=dict)
    """What its next requests will be."""
    readings: dict[str, dict[Meter, Reading]] = field(default_factory=dict)
    waking: dict[str, float] = field(default_factory=dict)
    claim: int = 1
    seq: int = 0


class Simulation:
    """One case; every event is (time, tie breaker, what to do)."""

    def __init__(self, case: Case, seed: int = 1, trace: Callable[..., None] | None = None) -> None:
        self.case = case
        self.trace = trace
        self.rng = np.random.default_rng(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.serial = 0
        self.server = Quota(case.server, 0.0)
        self.own = {x.model: Quota(x.own, 0.0) for x in case.loads if x.own is not None}
        self.claim = 1
        self.authority: Authority | None = self._authority(taking_over=False)
        self.registered: set[str] = set()
        self.outcome = Outcome()
        self.end = case.start_s + case.for_s
        busy = case.workers if case.busy is None else case.busy
        self.workers = [
            Worker(
                name=f"w{i}",
                wallets={x.model: Wallet() for x in case.loads},
                busy=i < busy,
                expected={x.model: [] for x in case.loads},
                output={x.model: 500.0 for x in case.loads},
                draws={x.model: deque() for x in case.loads},
            )
            for i in range(case.workers)
        ]
        self.loads = {x.model: x for x in case.loads}
        for worker in self.workers:
            self.at(self.rng.uniform(0, 1), lambda w=worker: self.beat(w))
        if case.kills_every_s:
            self.at(case.kills_every_s, self.kill)

    def _authority(self, *, taking_over: bool) -> Authority:
        models = {x.model: x.own_quota for x in self.case.loads if x.own_quota is not None}
        silent_s = self.case.down_s if taking_over else None
        return Authority(self.case.quota, now=self.now, models=models, silent_s=silent_s)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.events, (when, self.serial, what))

    def later(self, delay: float, what: Callable[[], None]) -> None:
        self.at(self.now + delay, what)

    def net(self) -> float:
        return self.rng.uniform(0.02, 0.08)

    def run(self) -> Outcome:
        while self.events and self.events[0][0] < self.end:
            self.now, _, what = heapq.heappop(self.events)
            what()
        return self.outcome

    # -- coordinator -----------------------------------------------------------------------

    def kill(self) -> None:
        self.authority = None
        self.later(self.case.down_s, self.take_over)
        self.later(self.case.kills_every_s or 0.0, self.kill)

    def take_over(self) -> None:
        self.claim += 1
        self.authority = self._authority(taking_over=True)
        self.registered = set()

    def beat(self, worker: Worker) -> None:
        worker.seq += 1
        seq, sent_at = worker.seq, self.now
        ledgers = {m: w.ledger(self.now) for m, w in worker.wallets.items()}
        held = {m: w.held(self.now) for m, w in worker.wallets.items()}
        until = max(w.held_until_s(self.now) for w in worker.wallets.values())
        readings, worker.readings = worker.readings, {}
        sizes = {m: self.sizes(worker, m, held[m]) for m in worker.wallets}
        costs = {
            m: Cost(input_tokens=sum(found) / len(found), output_tokens=worker.output[m])
            for m, found in sizes.items()
        }

        def receive() -> None:
            authority = self.authority
            if authority is None:
                return
            if worker.name not in self.registered:
                self.registered.add(worker.name)
                if self.claim > 1:
                    authority.resume(until, self.now)
                    if len(self.registered) == len(self.workers):
                        authority.all_registered(self.now)
            blocks: list[PermitBlock] = []
            for model, ledger in ledgers.items():
                authority.settle(worker.name, model, ledger, self.now)
            for model, found in readings.items():
                authority.observe(found, self.now, model=model if model in self.own else None)
            for model in ledgers:
                want = WANT - held[model] if worker.busy else 0
                block = authority.grant(
                    worker.name, model, want, costs[model], self.now, sizes=sizes[model]
                )
                if block is not None:
                    blocks.append(block)
            hold = max(authority.hold_s(m, self.now) for m in ledgers)
            self.later(self.net(), lambda: reply(blocks, hold))

        def reply(blocks: Sequence[PermitBlock], hold: float) -> None:
            if worker.seq != seq:
                return
            for wallet in worker.wallets.values():
                wallet.hold(hold, self.now)
            for block in blocks:
                worker.wallets[block.model].accept(block, sent_at=sent_at, now=self.now)
                self.wake(worker, block.model)

        self.later(self.net(), receive)
        self.later(1.0 + self.rng.uniform(-0.02, 0.02), lambda: self.beat(worker))

    def sizes(self, worker: Worker, model: str, held: int) -> list[float]:
        """What the requests after those that have permits are expected to use."""
        ahead = itertools.islice(self.ahead(worker, model), held, held + MOST_SIZES)
        return [draw.guess for draw in ahead]

    def ahead(self, worker: Worker, model: str) -> deque[Draw]:
        found = worker.draws[model]
        if len(found) < WANT + MOST_SIZES:
            load = self.loads[model]

            def lognormal(mean: float, sigma: float) -> np.ndarray:
                return self.rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, 2000)

            inputs = np.maximum(1, lognormal(load.input_mean, load.input_sigma)).round()
            outputs = np.maximum(1, lognormal(load.output_mean, load.output_sigma)).round()
            guesses = inputs * self.rng.uniform(0.9, 1.1, len(inputs))
            found.extend(
                Draw(int(i), int(o), g)
                for i, o, g in zip(inputs, outputs, guesses.tolist(), strict=True)
            )
        return found

    # -- worker ----------------------------------------------------------------------------

    def wake(self, worker: Worker, model: str) -> None:
        due = worker.wallets[model].next_at(self.now)
        if due is None:
            return
        due = max(due, self.now)
        if worker.waking.get(model, -1.0) >= self.now and worker.waking[model] <= due:
            return
        worker.waking[model] = due
        self.at(due, lambda: self.try_start(worker, model, due))

    def try_start(self, worker: Worker, model: str, due: float) -> None:
        if worker.waking.get(model) != due:
            return
        worker.waking[model] = -1.0
        wallet = worker.wallets[model]
        while True:
            draw = self.ahead(worker, model)[0]
            guess = Cost(input_tokens=draw.guess, output_tokens=worker.output[model])
            ticket = wallet.take(self.now, guess)
            if ticket is None:
                break
            worker.draws[model].popleft()
            self.start(worker, model, draw, ticket)
        self.wake(worker, model)

    def start(self, worker: Worker, model: str, draw: Draw, ticket: Ticket) -> None:
        sent = self.now
        tokens_in, tokens_out = draw.tokens_in, draw.tokens_out

        def arrive() -> None:
            measured = self.now >= self.case.start_s
            permits: list[tuple[Quota, Permit]] = []
            refused: Refused | None = None
            servers = [self.server, *([self.own[model]] if model in self.own else [])]
            for server in servers:
                found = server.admit(tokens_in, 4096, self.now)
                if isinstance(found, Refused):
                    refused = found
                    break
                permits.append((server, found))
            out = self.outcome
            out.ended += measured
            if refused is not None:
                # (an admission by the first server is not undone: its own limit is checked first)
                out.refused += measured
                out.refused_of[model] = out.refused_of.get(model, 0) + measured
                wait, limit = retry_after(refused.wait_s), refused.limit
                self.later(self.net(), lambda: end_refused(wait, limit))
                return
            delay_s, seconds = self.loads[model].delay_s, tokens_out / self.loads[model].speed
            for server, permit in permits:
                server.produce(permit, tokens_out, self.now + delay_s, seconds)
            self.count(model, tokens_in, tokens_out, self.now + delay_s, seconds)
            self.later(delay_s + seconds, lambda: finish(permits))

        def end_refused(wait: float, limit: Limit) -> None:
            wallet = worker.wallets[model]
            ramp = limit is Limit.RAMP
            wallet.refused(
                ticket,
                meter=None if ramp or not self.case.server.headers else Meter(limit.value),
                ramp=ramp,
                pause_s=wait + self.rng.uniform(0, 0.5),
                now=self.now,
            )
            for name in worker.wallets:
                if name != model and model not in self.own:
                    worker.wallets[name].hold(wait, self.now)
            self.wake(worker, model)

        def finish(permits: list[tuple[Quota, Permit]]) -> None:
            for server, permit in permits:
                server.finish(permit, self.now)
            readings = self.headers() if self.case.server.headers else {}
            self.later(self.net(), lambda: end(readings))

        def end(readings: dict[Meter, Reading]) -> None:
            wallet = worker.wallets[model]
            wallet.answered(
                ticket, input_tokens=tokens_in, output_tokens=tokens_out, latency_s=self.now - sent
            )
            worker.output[model] += 0.05 * (tokens_out - worker.output[model])
            if readings and model not in self.own:
                worker.readings[model] = readings

        self.later(self.net(), arrive)

    def headers(self) -> dict[Meter, Reading]:
        gauges = self.server.gauges(self.now)
        found: dict[Meter, Reading] = {}
        for meter, gauge, step in (
            (Meter.REQUESTS, gauges.requests, 1),
            (Meter.INPUT, gauges.input, 1000),
            (Meter.OUTPUT, gauges.output, 1000),
        ):
            if gauge is not None:
                found[meter] = Reading(
                    limit=round(gauge.limit),
                    remaining=max(0, round(gauge.level / step) * step),
                )
        return found

    # -- measuring -------------------------------------------------------------------------

    def count(self, model: str, i: int, o: int, start: float, seconds: float) -> None:
        first, last = self.case.start_s, self.end
        if self.case.meter is Meter.OUTPUT:
            overlap = max(0.0, min(last, start + seconds) - max(first, start))
            amount = o * overlap / seconds
        else:
            inside = first <= self.now < last
            amount = (1 if self.case.meter is Meter.REQUESTS else i) * inside
        self.outcome.used += amount
        self.outcome.by_model[model] = self.outcome.by_model.get(model, 0.0) + amount
        self.outcome.starts.append(self.now)


def rpm(limit: float, **more: object) -> tuple[GroupConfig, GroupQuota]:
    server = GroupConfig(rpm=limit, itpm=None, otpm=None, **more)
    return server, GroupQuota(rpm=limit)


def otpm(limit: float, **more: object) -> tuple[GroupConfig, GroupQuota]:
    server = GroupConfig(rpm=10_000, itpm=None, otpm=limit, **more)
    return server, GroupQuota(rpm=10_000, otpm=limit)


HALVED_AT_S = 60.0
LONG = (Load(output_mean=600.0, output_sigma=1.0),)
BRIEF = {
    "0.6 s": Load(output_mean=60.0, delay_s=0.1, speed=120.0),
    "0.6 s, one length": Load(output_mean=60.0, output_sigma=0.0, delay_s=0.1, speed=120.0),
    "1 s": Load(output_mean=60.0, output_sigma=1.0, delay_s=0.3, speed=80.0),
    "2 s": Load(output_mean=60.0, delay_s=0.7, speed=46.0),
}
"""Answers shorter than a permit is ahead of its use."""
MIXED = (Load(input_mean=3000.0, input_sigma=1.0, output_mean=100.0),)


def cases() -> list[Case]:
    found: list[Case] = []
    for headers in (True, False):
        mark = "" if headers else " no headers"
        for burst in (1.0, 10.0, 60.0):
            server, quota = rpm(4000, burst_s=burst, headers=headers)
            found.append(
                Case(name=f"rpm burst {burst:g}{mark}", server=server, quota=quota, least=0.985)
            )
        for burst in (1.0, 10.0, 60.0):
            server = GroupConfig(rpm=10_000, itpm=4e6, otpm=None, burst_s=burst, headers=headers)
            found.append(
                Case(
                    name=f"input burst {burst:g}{mark}",
                    server=server,
                    quota=GroupQuota(rpm=10_000, itpm=4e6),
                    meter=Meter.INPUT,
                    loads=MIXED,
                )
            )
        for burst in (1.0, 10.0, 60.0):
            server, quota = otpm(2e6, burst_s=burst, headers=headers)
            found.append(
                Case(
                    name=f"output burst {burst:g}{mark}",
                    server=server,
                    quota=quota,
                    meter=Meter.OUTPUT,
                    loads=LONG,
                    least=0.93 if burst == 1 else 0.98,
                    most_refused=0.02 if burst == 1 else 0.002,
                )
            )
    for limit in (60_000.0, 500_000.0):
        for lasting, load in BRIEF.items():
            server, quota = otpm(limit, burst_s=10.0)
            found.append(
                Case(
                    name=f"brief output, {limit:g} a minute, {lasting}",
                    server=server,
                    quota=quota,
                    meter=Meter.OUTPUT,
                    loads=(load,),
                    most_refused=0.002,
                )
            )
    server, _ = rpm(4000, burst_s=10, headers=False)
    found.append(
        Case(
            name="unknown, no headers, burst 10",
            server=server,
            quota=GroupQuota(auto=True),
            start_s=60,
            least=0.92,
            most=1.034,  # it may use what the bucket had saved up before: 10 s of 300
            most_refused=0.01,
        )
    )
    server, _ = rpm(4000, burst_s=10)
    found.append(
        Case(
            name="auto with headers, burst 10",
            server=server,
            quota=GroupQuota(auto=True),
            start_s=60,
        )
    )
    for burst in (10.0, 60.0):
        for means in RemainingMeans:
            server, quota = rpm(
                4000, burst_s=burst, foreign=ForeignConfig(share=0.3), remaining=means
            )
            found.append(
                Case(
                    name=f"foreign requests burst {burst:g} {means}",
                    server=server,
                    quota=quota,
                    least=0.66,
                    most=0.72,
                    most_refused=0.01,
                )
            )
    server, quota = otpm(2e6, burst_s=60, foreign=ForeignConfig(share=0.3))
    server.rpm = None
    found.append(
        Case(
            name="foreign output burst 60",
            server=server,
            quota=GroupQuota(otpm=2e6),
            meter=Meter.OUTPUT,
            loads=LONG,
            least=0.66,
            most=0.72,
            most_refused=0.01,
        )
    )
    for down_s in (0.7, 1.5, 3.0):
        server, quota = rpm(4000, burst_s=10)
        found.append(
            Case(
                name=f"coordinator killed every 20 s, away {down_s} s",
                server=server,
                quota=quota,
                kills_every_s=20.0,
                down_s=down_s,
                least=0.90,
                most_refused=0.005,
            )
        )
    server, quota = rpm(4000, burst_s=10)
    found.append(Case(name="8 workers, 2 busy", server=server, quota=quota, workers=8, busy=2))
    for headers, settled_s in ((True, 10.0), (False, 30.0)):
        server, quota = rpm(
            4000, burst_s=10, headers=headers, steps=[StepConfig(after_s=HALVED_AT_S, factor=0.5)]
        )
        found.append(
            Case(
                name=f"halved, {'headers' if headers else 'no headers'}",
                server=server,
                quota=quota,
                start_s=HALVED_AT_S,
                for_s=60,
                limit_factor=0.5,
                least=0.9,
                most=1.0 + 10 / 60 + 0.01,  # what the bucket of then 10 s of refill held
                most_refused=0.02,
                settled_s=settled_s,
            )
        )
    server, quota = rpm(4000, burst_s=10, ramp=RampConfig(floor=0.2, doubling_s=30.0))
    found.append(
        Case(
            name="acceleration limit, all is allowed after 70 s",
            server=server,
            quota=quota,
            start_s=80,
            least=0.95,
            most_refused=0.002,
        )
    )
    own = GroupConfig(rpm=600, itpm=None, otpm=None, burst_s=10)
    server, quota = rpm(4000, burst_s=10)
    found.append(
        Case(
            name="two models, one with 600 rpm of its own",
            server=server,
            quota=quota,
            loads=(Load(model="a", own=own, own_quota=GroupQuota(rpm=600)), Load(model="b")),
        )
    )
    return found


def limit_of(case: Case) -> float:
    limits = {
        Meter.REQUESTS: case.server.rpm,
        Meter.INPUT: case.server.itpm,
        Meter.OUTPUT: case.server.otpm,
    }
    return (limits[case.meter] or 0.0) / 60 * case.limit_factor


def worst_minute(starts: Sequence[float], limit: float) -> float:
    """The most requests of any minute, as a share of the limit."""
    times = np.sort(np.asarray(starts))
    ends = np.searchsorted(times, times + 60.0, side="left")
    return float((ends - np.arange(len(times))).max() / (limit * 60.0))


def settled_after(starts: Sequence[float], limit: float, since: float, until: float) -> float:
    """From when on, after `since`, any 10 s use between 0.85 and 1.1 of the limit.

    Where a limit is learned from refusals alone, AIMD goes some per cent below it and, out of what
    the bucket has saved up meanwhile, above.
    """
    times = np.sort(np.asarray(starts))
    moments = np.arange(since, until - 10.0, 0.5)
    uses = [np.searchsorted(times, [t, t + 10.0]) for t in moments]
    off = [not 0.85 <= (b - a) / (10.0 * limit) <= 1.1 for a, b in uses]
    return 0.5 * (len(off) - off[::-1].index(True)) if True in off else 0.0


def problems(case: Case, outcome: Outcome) -> list[str]:
    """Return which bounds of a row do not hold."""
    found: list[str] = []
    limit = limit_of(case)
    used = outcome.used / (limit * case.for_s)
    refused = outcome.refused / max(1, outcome.ended)
    if not case.least <= used <= case.most + 1e-9:
        found.append(f"use {used:.3f} is not within {case.least} and {case.most}")
    if refused > case.most_refused:
        found.append(f"429s {refused:.3%} are more than {case.most_refused:.2%}")
    if case.kills_every_s and (worst := worst_minute(outcome.starts, limit)) > 1.0:
        found.append(f"a minute has {worst:.3f} of the quota")
    if case.settled_s is not None:
        after = settled_after(outcome.starts, limit, case.start_s, case.start_s + case.for_s)
        if after > case.settled_s:
            found.append(f"settled after {after:.0f} s, not {case.settled_s:.0f}")
    if len(case.loads) > 1 and (rest := rest_used(case, outcome)) < 0.98:
        found.append(f"the other model has {rest:.3f} of what is left")
    return found


def rest_used(case: Case, outcome: Outcome) -> float:
    """Return what model b used of what model a left."""
    return outcome.by_model["b"] / (limit_of(case) * case.for_s - outcome.by_model["a"])


def main() -> None:
    words = sys.argv[1:]
    print(f"{'case':45} {'util':>6} {'429':>7}  target           s")
    for case in cases():
        if not all(word in case.name.split() or word in case.name for word in words):
            continue
        began = time.process_time()
        outcome = Simulation(case).run()
        used = outcome.used / (limit_of(case) * case.for_s)
        share = outcome.refused / max(1, outcome.ended)
        extra = "".join(f" MISSED: {problem}" for problem in problems(case, outcome))
        if case.kills_every_s:
            extra += f" worst minute {worst_minute(outcome.starts, limit_of(case)):.3f}"
        if case.settled_s is not None:
            end = case.start_s + case.for_s
            after = settled_after(outcome.starts, limit_of(case), case.start_s, end)
            extra += f" settled after {after:.1f} s"
        if len(case.loads) > 1:
            extra += f" b: {rest_used(case, outcome):.3f} of what is left"
        print(
            f"{case.name:45} {used:6.3f} {share:7.3%}  {case.least:.3f}-{case.most:.2f} {case.most_refused:6.2%}"
            f" {time.process_time() - began:5.1f}{extra}",
            flush=True,
        )


if __name__ == "__main__":
    main()
