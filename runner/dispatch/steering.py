"""Carries out what `runner control` and `runner stop` ask of a live sweep, once a cycle.

Flow: `events/control.json` → `Control` → the desk (cancelled models), the quota desk (pause, rates,
numbers in flight), the funds (budget). The whole wanted state is read each time and compared with what was carried out
last, so a new coordinator arrives at the same state as the one before it. Failure cases: an object
that is damaged changes nothing and is told of once; a name that the sweep does not have is told of
and left out; a store that does not answer is the cycle's trouble, as for everything else in it.
"""

from __future__ import annotations

from runner.core.errors import RecordError
from runner.core.seams import Store
from runner.dispatch.desk import Desk
from runner.dispatch.funds import Funds
from runner.observe.events import Controlled, Problem, Sink
from runner.record.control import CONTROL, Control, read_control, stop_asked

CANCELLED = "cancelled by runner control"
"""Why a model is stopped that an operator took out."""
PAUSED = "paused by runner control; nothing new is sent until it is told to --go-on"


class Steering:
    """Requests of operators to one coordinator."""

    def __init__(
        self,
        store: Store,
        *,
        desk: Desk,
        funds: Funds,
        claim: int,
        events: Sink,
    ) -> None:
        """Start with nothing asked.

        Args:
            store: of the sweep.
            desk: carries out what concerns models and quotas.
            funds: carry out what concerns the budget.
            claim: of this coordinator.
            events: told of every change.
        """
        self._store = store
        self._desk = desk
        self._funds = funds
        self._claim = claim
        self._events = events
        self._done = Control()
        self._told = ""

    @property
    def paused(self) -> bool:
        """Return whether nothing new is to be sent."""
        return self._done.paused

    async def look(self, now: float) -> bool:
        """Read what is asked and carry it out; returns whether the sweep is to stop.

        Raises:
            StorageError: the store cannot be read.
        """
        try:
            wanted = await read_control(self._store)
        except RecordError as error:
            self._tell(str(error))
        else:
            if wanted != self._done:
                self._carry_out(wanted, now)
        return await stop_asked(self._store, self._claim)

    def _carry_out(self, wanted: Control, now: float) -> None:
        quotas = self._desk.quotas
        quotas.paused = wanted.paused
        unknown = [*quotas.change_rates(wanted.quotas, now)]
        unknown += quotas.change_in_flight(wanted.max_in_flight)
        for model in wanted.cancelled:
            if model in self._desk.slots:
                self._desk.stop(model, CANCELLED)
            else:
                unknown.append(f"models.{model}")
        self._funds.change(wanted)
        self._done = wanted
        self._events.emit(
            Controlled(
                paused=wanted.paused,
                cancelled=wanted.cancelled,
                quotas={group: dict(limits) for group, limits in wanted.quotas.items()},
                max_in_flight=dict(wanted.max_in_flight),
                budget=dict(wanted.since(self._funds.since).budget),
            )
        )
        if unknown:
            self._tell(f"{CONTROL}: this sweep has no {', '.join(unknown)}; that part is left out")

    def _tell(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self._events.emit(Problem(where=CONTROL, what=what))
