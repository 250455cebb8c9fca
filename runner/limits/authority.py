"""One quota group for the whole cluster: who may send what, and when. Pure, time as an argument.

Each heartbeat of a worker is settled first (`settle`: what became of earlier permits, answers,
refusals), then answered with a block of paced permits (`grant`). Blocks of all workers lie one
behind the other on the lines of the group's meters, so the whole cluster sends evenly; requests,
input and output tokens are reserved at once, all or none. A worker that falls silent keeps what it
holds reserved and what it has in flight counted. A new coordinator (`silent_s`) reserves nothing
before the last moment that its predecessor can have granted, with empty mirrors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from runner.limits.accounts import Account
from runner.limits.breaker import RESTART_SHARE, Breaker, BreakerState, worst
from runner.limits.funding import (
    AHEAD_S,
    CALM_AHEAD_S,
    FAR_AHEAD_S,
    RECENT_S,
    Funding,
    demands_of,
    room_until,
)
from runner.limits.laying import lay, mean_size
from runner.limits.pool import Pool
from runner.limits.quota import (
    Cost,
    GroupQuota,
    Ledger,
    Meter,
    PermitBlock,
    QuotaStatus,
    Readings,
    Step,
)
from runner.limits.ramp import RampUp
from runner.limits.windows import Window

LEAD_S = 6.5
"""No permit starts later than this after it was granted."""
GRACE_S = 0.5
"""A permit not used so long after its time has lapsed."""
MESSAGE_S = 2.0
"""Longest way of a heartbeat and its reply for which permits are still good."""


class Authority:
    """Permits of one quota group."""

    def __init__(
        self,
        config: GroupQuota,
        *,
        now: float,
        models: Mapping[str, GroupQuota] | None = None,
        silent_s: float | None = None,
    ) -> None:
        """Start with nothing granted.

        Args:
            config: the group's quota.
            now: monotonic seconds of the coordinator, as everywhere below.
            models: limits that a model has for itself inside the group.
            silent_s: there was a coordinator before, and for so long it cannot have granted
                anything (0.0: not known). None: there was none.
        """
        self._group = Pool(config, now)
        self._own = {name: Pool(own, now) for name, own in (models or {}).items()}
        if silent_s is not None:
            for pool in self._pools():
                pool.free_from(now + max(0.0, LEAD_S - silent_s))
        self._silent: dict[str, float] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._breakers: dict[str, Breaker] = {}
        self._ramp = RampUp(
            share=config.ramp.start if silent_s is None else 1.0,
            double_s=config.ramp.double_s,
            at=now,
        )
        self._next_id = 1
        self._paused_until = 0.0
        self._starved_at = -inf
        self._held_until = None if silent_s is None else now
        self._funding = Funding()
        self._refused, self._ended = Window(), Window()

    def admit(self, model: str, own: GroupQuota, now: float) -> None:
        """Let a further model of the group have limits of its own."""
        self._own[model] = Pool(own, now)

    # -- what workers report -------------------------------------------------------------------

    def resume(self, held_until_s: float, now: float) -> None:
        """A worker's first heartbeat after a take-over: its last old permit is due then."""
        if self._held_until is not None:
            self._held_until = max(self._held_until, now + held_until_s)

    def all_registered(self, now: float) -> None:
        """Every worker has resumed or is provably gone: what they hold is all that is granted."""
        if self._held_until is not None and self._next_id == 1:
            for pool in self._pools():
                pool.free_from(max(now, self._held_until))
        self._held_until = None

    def settle(self, worker: str, model: str, ledger: Ledger, now: float) -> None:
        """Take a heartbeat's ledger in; an older one than the last changes nothing."""
        account = self._account(worker, model, now)
        before = account.ledger
        if before is None:
            self._begin(account, worker, model, ledger, now)
            return
        if ledger.accepted < before.accepted or (
            ledger.used + ledger.lapsed < before.used + before.lapsed
        ):
            return
        self._advance(now)
        lost = account.unaccepted(ledger)
        resolved = ledger.used + ledger.lapsed - before.used - before.lapsed
        for pool in self._pools(model):
            pool.give_back(lost.input_tokens, lost.output_tokens)
            pool.settle(before, ledger, now)
            flow = pool.flow
            flow.pending(model, -resolved - lost.count)
            if ledger.answered > before.answered:
                flow.answered(
                    model,
                    n=ledger.answered - before.answered,
                    y=ledger.output_tokens - before.output_tokens,
                    x=ledger.latency - before.latency,
                    yy=ledger.output_squared - before.output_squared,
                    xy=ledger.output_latency - before.output_latency,
                )
            flow.report(
                worker,
                model,
                in_flight=ledger.in_flight,
                elapsed_s=ledger.elapsed_s,
                started=ledger.used - before.used,
            )
        account.ledger = ledger
        self._silent.pop(worker, None)
        self._ends(model, before, ledger, now)

    def observe(self, readings: Readings, now: float, *, model: str | None = None) -> None:
        """Take in the headers of a worker's latest response.

        Args:
            readings: by meter.
            now: seconds.
            model: given where they speak of the model's own limits, not of the group's.
        """
        pool = self._own.get(model or "", self._group)
        self._advance(now)
        pool.observe(readings, now)

    def rate_limited(
        self, meter: Meter | None, pause_s: float, now: float, *, model: str, ramp: bool
    ) -> None:
        """A 429: the group pauses; the meter learns, or the ramp slows down."""
        self._paused_until = max(self._paused_until, now + pause_s)
        if ramp:
            self._ramp.refused(now, pause_s)
            return
        own = self._own.get(model)
        # Where the model's own limit is what holds it back, that is what refused.
        pool = own if own is not None and own.binds is not None else self._group
        pool.refused(meter, now)

    def change(self, quota: GroupQuota, now: float) -> None:
        """An operator changed the group's limits; what was learnt against the old ones goes."""
        self._advance(now)
        self._group.change(quota, now)

    def overloaded(self, model: str, n: int, now: float) -> None:
        """Requests ended with 529, 5xx, a timeout or a lost connection."""
        self._breaker(model).overloaded(n, now)

    def succeeded(self, model: str, n: int, now: float) -> None:
        """Requests were answered."""
        if self._breaker(model).succeeded(n, now) and not any(
            b.flows(now) for name, b in self._breakers.items() if name != model
        ):
            self._ramp.restart(now, RESTART_SHARE)  # the whole group was silent

    def lost(self, worker: str, now: float, in_flight_for_s: float) -> None:
        """A worker fell silent: its calls may go on for that long, and its permits are withheld."""
        self._silent.setdefault(worker, now + in_flight_for_s)
        for (name, _), account in self._accounts.items():
            if name == worker:
                account.want = 0

    def gone(self, worker: str) -> None:
        """A worker provably runs no more. Permits it held stay charged: it may have used them."""
        for key in [k for k in self._accounts if k[0] == worker]:
            account = self._accounts.pop(key)
            for pool in self._pools(key[1]):
                pool.flow.pending(key[1], -account.held())
                pool.flow.forget(worker)

    # -- what workers get ----------------------------------------------------------------------

    def hold_s(self, model: str, now: float) -> float:
        """Return for how long nothing of a model may be sent, whatever permits are held."""
        return max(0.0, self._paused_until - now, self._breaker(model).hold_s(now))

    def breaker_state(self, model: str) -> BreakerState:
        """Return the state of a model's breaker."""
        return self._breaker(model).state

    def grant(  # one call per heartbeat and model, all of it known only there
        self,
        worker: str,
        model: str,
        want: int,
        estimate: Cost,
        now: float,
        *,
        sizes: Sequence[float] = (),
    ) -> PermitBlock | None:
        """Return permits for a worker, None where it gets none now.

        Args:
            worker: it has been settled before.
            model: of the requests.
            want: requests it could start within two seconds, less the permits it holds.
            estimate: mean expected cost of the requests that wait.
            now: seconds.
            sizes: input tokens of the next requests that it will start, as far as they are known.
        """
        if sizes:
            estimate = replace(estimate, input_tokens=max(1.0, sum(sizes) / len(sizes)))
        account = self._account(worker, model, now)
        account.want, account.wanted_at, account.cost = want, now, estimate
        room = self._breaker(model).room(now)
        if want <= 0 or room == 0:
            return None
        self._advance(now)
        most = want if room is None else min(want, room)
        return self._block(account, (worker, model), most, sizes, now)

    def _block(
        self,
        account: Account,
        key: tuple[str, str],
        most: int,
        sizes: Sequence[float],
        now: float,
    ) -> PermitBlock | None:
        model, want, estimate = key[1], account.want, account.cost
        share = self._ramp.allowed(now)
        pools = self._pools(model)
        intervals = [self._interval(pool, model, estimate, share) for pool in pools]
        interval, common = max(intervals), intervals[0]
        account.common_s = common
        begin = max(now, self._paused_until)
        first = max(pool.first(begin) for pool in pools)
        if self._funding.outdated(key, now):
            self._funding.renew(*demands_of(self._accounts, self._own, share, now), now)
        count = 0
        if first <= now + LEAD_S and interval < inf:
            ahead_s = self._ahead_s(now)
            funded = self._funding.room(account, key, common, first=first, ahead_s=ahead_s, now=now)
            count = min(want, funded, room_until(now + LEAD_S, first, interval))
        if count < want:
            self._starved_at = now
        count = min(count, most)
        if count <= 0:
            return None
        steps: tuple[Step, ...] = ()
        slowest = pools[intervals.index(interval)]
        if sizes and slowest.binds is Meter.INPUT:
            free = replace(estimate, input_tokens=0.0)
            steps, mean_s = lay(
                sizes,
                mean=estimate.input_tokens,
                mean_s=interval,
                least_s=max(pool.interval(model, free, share)[0] for pool in pools),
                funded_s=count * interval,
                lead_s=now + LEAD_S - first,
                most=most,
            )
            count, common, interval = len(steps), common * mean_s / interval, mean_s
            estimate = replace(estimate, input_tokens=mean_size(steps))
        for pool in pools:
            # A model that waits for its own limit holds up nobody else's line.
            pool.reserve(count, model, estimate, pool.first(begin), share)
        if steps:
            slowest.occupied_until(first + count * interval)
        block = PermitBlock(
            id=self._next_id,
            model=model,
            count=count,
            first_in_s=first - now,
            interval_s=interval,
            grace_s=GRACE_S,
            expires_in_s=0.0,
            reserved=estimate,
            steps=steps,
        )
        account.grant(block)
        self._funding.granted(account, key, count, common, now=now)
        self._breaker(model).granted(now)
        self._next_id += 1
        return replace(block, expires_in_s=block.last_in_s + GRACE_S + MESSAGE_S)

    def status(self, now: float) -> QuotaStatus:
        """Return what `runner status` shows."""
        self._advance(now)
        ended = self._ended.sum(now)
        first = max(self._paused_until, self._group.first(now))
        return QuotaStatus(
            meters=self._group.status(now),
            binds=self._group.binds if now - self._starved_at < RECENT_S else None,
            refused_share=self._refused.sum(now) / ended if ended else 0.0,
            breaker=worst([b.state for b in self._breakers.values()]).value,
            hold_s=max([self.hold_s(model, now) for model in self._breakers], default=0.0),
            waiting_s=max(0.0, first - now),
        )

    # -- inside --------------------------------------------------------------------------------

    def _pools(self, model: str | None = None) -> list[Pool]:
        if model is None:
            return [self._group, *self._own.values()]
        own = self._own.get(model)
        return [self._group] if own is None else [self._group, own]

    def _breaker(self, model: str) -> Breaker:
        return self._breakers.setdefault(model, Breaker())

    def _account(self, worker: str, model: str, now: float) -> Account:
        found = self._accounts.get((worker, model))
        if found is None:
            found = self._accounts[worker, model] = Account(funded_to=now)
        return found

    def _begin(self, account: Account, worker: str, model: str, ledger: Ledger, now: float) -> None:
        """First ledger seen: what happened before is history, what is held or runs counts."""
        self._advance(now)
        account.ledger = ledger
        account.granted = ledger.accepted
        account.granted_input = ledger.accepted_input
        account.granted_output = ledger.accepted_output
        for pool in self._pools(model):
            pool.give_back(
                ledger.resolved_input - ledger.accepted_input,
                ledger.resolved_output - ledger.accepted_output,
            )
            pool.flow.pending(model, account.held())
            pool.flow.begin(worker, model, ledger)

    def _advance(self, now: float) -> None:
        wanted = now - self._starved_at < RECENT_S
        share = self._ramp.allowed(now)
        for pool in self._pools():
            pool.advance(now, share, wanted=wanted)
        for worker in [w for w, until in self._silent.items() if now >= until]:
            del self._silent[worker]
            for pool in self._pools():
                pool.flow.forget(worker)

    def _ends(self, model: str, before: Ledger, after: Ledger, now: float) -> None:
        refused = after.refused - before.refused
        answered = after.answered - before.answered
        overloaded = after.overloaded - before.overloaded
        self._ended.add(answered + refused + overloaded, now)
        if refused:
            self._refused.add(refused, now)
            self.rate_limited(
                after.refused_meter,
                after.paused_s,
                now,
                model=model,
                ramp=after.refused_ramp > before.refused_ramp,
            )
        self.overloaded(model, overloaded, now)
        self.succeeded(model, answered, now)
        ended = self._ended.sum(now)
        share = self._refused.sum(now) / ended if ended >= 100 else 0.0
        for pool in self._pools():
            pool.safety.adapt(share, now)

    def _interval(self, pool: Pool, model: str, cost: Cost, share: float) -> float:
        interval, pool.binds = pool.interval(model, cost, share)
        pool.follow(interval)
        pool.shorten()
        return interval

    def _ahead_s(self, now: float) -> float:
        group = self._group
        if group.binds is Meter.OUTPUT or group.taught or self._refused.sum(now):
            return AHEAD_S
        # Far ahead only where nothing that is learned meanwhile could change what was granted.
        steady = group.binds is Meter.REQUESTS and self._ramp.share >= 1.0 and not self._own
        return FAR_AHEAD_S if steady else CALM_AHEAD_S
