"""The sweep's budget in one coordinator: words in, allowances out, `fund` entries in between.

A thin shell around `limits/treasury.py`. An account is opened by the first `fund` entry that names
a worker, and closed by one after the worker has ended and all that its journal holds is published;
its journal is deleted only then. What its calls on the wire had set aside stands in the notes of
the journal. A journal proves nothing (and all that its worker drew stays committed) where it
cannot be read, is damaged, or lay on a host that was switched off: notes are not synced.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from runner.config.money_schema import BudgetConfig
from runner.core.values import NOTHING, Amount
from runner.execute.messages import Heartbeat
from runner.limits.ledger import Ledger
from runner.limits.treasury import Treasury
from runner.observe.amounts import money
from runner.observe.budget import BudgetProgress
from runner.record.control import Control
from runner.record.entries import Fund
from runner.record.manifest import ManifestLog

EXHAUSTED_BEATS = 3.0
"""For so many heartbeats nobody can have paid for a call, as jobs or news may be on their way."""


def cap_of(budget: BudgetConfig) -> Amount:
    """Return a budget as an amount; infinite where it has no limit."""
    return Amount(
        inf if budget.usd is None else budget.usd, inf if budget.tokens is None else budget.tokens
    )


@dataclass(slots=True)
class Funds:
    """Allowances of one claim; does nothing where there is no budget."""

    configured: BudgetConfig
    log: ManifestLog
    heartbeat_s: float
    elsewhere: Amount = NOTHING
    """What others have spent of the budget."""
    since: int = 0
    """The last manifest entry when the configuration got the budget."""
    budget: BudgetConfig = field(init=False)
    """That counts: the configured one, or as an operator changed it."""
    _since: float | None = None
    """Since when nobody can pay for a call."""
    _treasury: Treasury = field(init=False)

    def __post_init__(self) -> None:
        """Take the accounts as the manifest has them."""
        self.budget = self.configured
        cap = cap_of(self.budget).minus(self.elsewhere)
        self._treasury = Treasury(cap, lambda: self.ledger)

    @property
    def ledger(self) -> Ledger:
        """What is spent and drawn, as the manifest stands."""
        return self.log.state.ledger

    def change(self, control: Control) -> None:
        """Keep to the limits that count by now, if there were any: else nobody accounts for calls.

        What workers may spend already is taken back with the next heartbeats; calls that they have
        set it aside for are made.
        """
        if self.configured.limited:
            self.budget = control.within(self.configured, self.since)
            self._treasury.cap = cap_of(self.budget).minus(self.elsewhere)

    def answer(self, beat: Heartbeat, owing: bool) -> Amount | None:
        """Take in a heartbeat; returns the allowance for its reply, None without a budget.

        Args:
            beat: not seen before.
            owing: there are jobs that the worker may get.
        """
        word = beat.spending
        if word is None or not self.budget.limited:
            return None
        if not word.held and not owing:
            word = replace(word, wants=NOTHING, needs=None, short=False)
        self._treasury.heard(beat.incarnation, word)
        return self._treasury.allowance(beat.incarnation)

    def is_scarce(self) -> bool:
        """Return whether jobs must stay where money for them is sent: both moving never meet."""
        return self._treasury.scarce

    def waits(self, beat: Heartbeat) -> bool:
        """Return whether a worker has no account yet, and is to get one soon."""
        new = beat.spending is not None and beat.spending.exposure.tokens == 0
        return self.budget.limited and new and beat.incarnation not in self.ledger.drawn

    def answer_guest(self, beat: Heartbeat) -> Amount | None:
        """Do the same for a judge; where money is scarce the sweep's own jobs go first."""
        if beat.spending is None:
            return None
        word = replace(beat.spending, needs=None, short=False)
        return self.answer(replace(beat, spending=word), owing=False)

    def lost(self, incarnation: str) -> None:
        """A worker fell silent."""
        self._treasury.lost(incarnation)

    def gone(self, incarnation: str, unproven: Amount | None) -> None:
        """A worker ended and its journal is published; see `Treasury.gone`."""
        self._treasury.gone(incarnation, unproven)

    def left(self, incarnation: str) -> None:
        """A worker said goodbye and its journal is published."""
        self._treasury.left(incarnation)

    def closed(self, incarnation: str) -> bool:
        """Return whether nothing of a worker's journal is needed for its account any more."""
        return self._treasury.closed(incarnation)

    async def write(self) -> None:
        """Write allowances down that are new; no other entry may be unsure.

        Raises:
            FencedError: a later claim exists.
            StorageError: the store refused; `Publisher.settle` finds out.
        """
        draw = self._treasury.draw()
        if draw is not None:
            await self.log.append(Fund(drawn=draw.drawn, closed=draw.closed))

    def spent(self) -> Amount:
        """Return what the sweep has spent or set aside, or may have."""
        return self._treasury.spent().plus(self.elsewhere)

    def progress(self) -> BudgetProgress:
        """Return what was spent, of what."""
        spent = self.spent()
        return BudgetProgress(
            usd=spent.usd,
            tokens=spent.tokens,
            usd_limit=self.budget.usd,
            tokens_limit=self.budget.tokens,
        )

    def exhausted(self, now: float) -> str | None:
        """Return why nothing more can be sent for want of money, None while something can."""
        need = self._treasury.exhausted()
        if need is None or not self.budget.limited:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < EXHAUSTED_BEATS * self.heartbeat_s:
            return None
        return self._told(need)

    def _told(self, need: Amount) -> str:
        spent, free = self.spent(), self._treasury.free()
        parts: list[str] = []
        if self.budget.usd is not None and need.usd > free.usd:
            parts.append(
                f"budget.usd: {money(spent.usd)} of {money(self.budget.usd)} USD are spent, and a "
                f"call may cost {money(need.usd)}"
            )
        if self.budget.tokens is not None and need.tokens > free.tokens:
            parts.append(
                f"budget.tokens: {spent.tokens:,.0f} of {self.budget.tokens:,} tokens are spent, "
                f"and a call may take {need.tokens:,.0f}"
            )
        return "; ".join(parts)
