"""When may the next request of a model go out? One gate per model in a worker.

Owns the count of requests on the wire and who waits for a place. A place is held only while a
request is on the wire: never while sleeping before a retry, never between turns. Where the model
has a quota, a request also needs a permit that is due, and where the sweep has a budget, an amount
set aside for it; waiting for either holds no place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.core.values import NOTHING, Amount
from runner.execute.purse import Purse
from runner.limits.quota import Cost
from runner.limits.spending import Payer
from runner.limits.wallet import Ticket

LOOK_S = 0.005
"""Permits that come due closer together than this go out together: a wake-up of the loop for each
of a thousand a second costs more than the rest of the limiter."""
NO_COST = Cost(input_tokens=0.0, output_tokens=0.0)


def no_cost() -> Cost:
    """Return what a call costs that no quota counts."""
    return NO_COST


FREE = Ticket(expected=NO_COST, at=0.0)
"""Stands for the permit of a model that needs none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    cost: Callable[[], Cost]


class Gate:
    """Places for requests of one model; its worker sets `slots` from each heartbeat reply."""

    def __init__(
        self,
        may_call: Callable[[], bool],
        now: Callable[[], float],
        *,
        purse: Purse | None = None,
        payer: Payer | None = None,
        on_empty: Callable[[], None] | None = None,
    ) -> None:
        """Make a closed gate (no slots).

        Args:
            may_call: the worker's own conditions (lease valid, room for unsealed rows).
            now: monotonic seconds.
            purse: permits, where the model needs them.
            payer: sets aside what a call may cost.
            on_empty: told when a call comes and there is no permit in hand.
        """
        self.slots = 0
        self.in_flight = 0
        self.closed = False
        """No further request at all: stopped model, or the grace period is over."""
        self.paused_until = 0.0
        """By a rate limit or an open breaker: no request of any job before (monotonic seconds)."""
        self.singly = False
        """Nothing but trouble of late: one request on the wire at a time."""
        self.coming = 0
        """Jobs begun that have not asked for a place yet."""
        self.on_room: Callable[[], None] = _nothing
        """Told when a permit came due and nobody waits."""
        self.purse = purse
        self.payer = payer
        self._may_call = may_call
        self._now = now
        self._on_empty = on_empty or _nothing
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._looked_at = 0.0

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a place."""
        return len(self._waiters)

    def costs(self) -> Iterator[Cost]:
        """Yield what those who wait are expected by now to cost, in the order of their turns."""
        return (waiter.cost() for waiter in self._waiters)

    def free(self) -> int:
        """Return how many requests could start now."""
        room = self._places()
        if room == 0 or self.purse is None:
            return room
        return min(room, self.purse.wallet.due_now(self._now()))

    def _places(self) -> int:
        """Return how many requests could start now if they had permits."""
        room = (min(self.slots, 1) if self.singly else self.slots) - self.in_flight
        if room <= 0 or self.closed:
            return 0
        if self.paused_until and self._now() < self.paused_until:
            return 0
        return 0 if self.broke or not self._may_call() else room

    @property
    def broke(self) -> bool:
        """Return whether the budget does not pay for a call like the last that asked."""
        return self.payer is not None and not self.payer.affords()

    def room(self) -> int:
        """Return how many jobs could begin now beside the calls that wait already."""
        return self.free() - len(self._waiters) - self.coming

    async def acquire(
        self, cost: Callable[[], Cost] = no_cost, ask: Callable[[], Amount] = lambda: NOTHING
    ) -> tuple[Ticket, Amount] | None:
        """Wait for a place, a permit and money and take all; None where the gate is closed.

        Args:
            cost: tells what the permit is for, by what is known when it is asked.
            ask: returns what to set aside, which may become less while the call waits.
        """
        first = True
        while True:
            if self.closed:
                return None
            if self._places() > 0 and (taken := self._take(cost, ask())) is not None:
                return taken
            waiter = _Waiter(asyncio.get_running_loop().create_future(), cost)
            if first:
                self._waiters.append(waiter)
                if self.purse is not None and self.purse.wallet.next_at(self._now()) is None:
                    self._on_empty()
            else:
                self._waiters.appendleft(waiter)  # somebody was faster: its turn is not lost
            first = False
            if self.purse is not None:
                self._arm(self._now())
            try:
                await waiter.turn
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                else:
                    self.kick()  # the wake-up it was given belongs to the next one
                raise

    def _take(self, cost: Callable[[], Cost], amount: Amount) -> tuple[Ticket, Amount] | None:
        ticket: Ticket | None = FREE
        allowance = None if self.payer is None else self.payer.allowance
        if allowance is not None and not allowance.affords(amount):
            return None
        if self.purse is not None:
            now = self._now()
            ticket = self.purse.wallet.take(now, cost())
            self._arm(now)
        if ticket is None:
            return None
        self.in_flight += 1
        if allowance is not None:
            allowance.take(amount)
        return ticket, amount

    def paid(self, amount: Amount, counted: Amount, *, answered: bool) -> None:
        """Put what a call counted in the place of what was set aside; the rest is for others."""
        if self.payer is not None:
            self.payer.settle(amount, counted, answered=answered)
            if self._waiters:
                self.kick()

    def unsent(self, ticket: Ticket, amount: Amount) -> None:
        """Give permit and amount of a call back that was not sent; its place goes by `release`."""
        if self.purse is not None:
            self.purse.wallet.unsent(ticket)
        if self.payer is not None:
            self.payer.allowance.settle(amount, NOTHING)

    def release(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._waiters:
            self.kick()

    def pause(self, seconds: float) -> None:
        """Hold every job's next request back: a server said so to one of them."""
        now = self._now()
        until = now + seconds
        if until > self.paused_until:
            self.paused_until = until
            if self.purse is not None:
                self.purse.wallet.hold(seconds, now)
            asyncio.get_running_loop().call_later(seconds + 0.001, self._look)

    def close(self) -> None:
        """Let nothing start any more; those who wait get None."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.kick()

    def kick(self) -> None:
        """Wake as many waiters as may start now (all of them where the gate is closed)."""
        count = len(self._waiters) if self.closed else min(self.free(), len(self._waiters))
        for _ in range(count):
            waiter = self._waiters.popleft()
            if not waiter.turn.done():
                waiter.turn.set_result(None)
        if self.purse is not None and not self.closed:
            self._arm(self._now())

    def _due(self) -> None:
        self._timer = None
        self._looked_at = self._now()
        self._look()

    def _look(self) -> None:
        self.kick()
        if self.room() > 0:
            self.on_room()

    def _arm(self, now: float) -> None:
        """See to it that somebody looks when the next permit is due."""
        assert self.purse is not None
        due = self.purse.wallet.next_at(now)
        if due is None or due <= now:
            return  # one that is due already waits for a place or for work: those look by themselves
        due = max(due, self._looked_at + LOOK_S)
        if self._timer is not None:
            if self._timer_at <= due + 1e-6:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(due - now, self._due)


def _nothing() -> None:
    """Nobody wants to know."""
