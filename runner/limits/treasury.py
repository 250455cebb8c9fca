"""Who may spend how much of a sweep's budget: allowances of workers, decided once a cycle. Pure.

What may have been spent is never more than the budget: an allowance is in the manifest (`Ledger`)
before the worker hears of it, and a lower one counts only once the worker has said that it obeys
it, as with places (`slots.py`). A worker counts with

    max(the allowance it obeys, the one of the latest reply, its exposure)

and the manifest never says less of it. While there is plenty, a worker has several heartbeats' wants
in hand; once there is not, what is left is dealt out anew each cycle: money for one
call to as many as it lasts for, then evenly among these (max-min). Places and permits go to who can
pay. Only a call that costs more than it set aside (`spending.py`)
can take exposures beyond what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.core.values import EPSILON, NOTHING, Amount
from runner.limits.ledger import Ledger
from runner.limits.shares import max_min
from runner.limits.spending import SpendWord

AHEAD = 6.0
"""Wants to have in hand after a raise: what is held now is about two seconds' work."""
LOW = 2.0
"""Wants in hand below which an allowance is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What the next manifest entry has to say."""

    drawn: Mapping[str, Amount]
    """New allowances by incarnation, since the incarnation started."""
    closed: Mapping[str, Amount]
    """Accounts to close, with what may have been spent beside published attempts."""


@dataclass(slots=True)
class _Account:
    word: SpendWord
    target: Amount = NOTHING
    sent: Amount = NOTHING
    """In the latest reply."""
    proposed: Amount | None = None
    """In the latest draw, won or not."""

    @property
    def counted(self) -> Amount:
        return self.word.allowance.most(self.sent).most(self.word.exposure)


@dataclass(slots=True)
class Treasury:
    """The allowances of one claim."""

    cap: Amount
    """Infinite where there is no limit."""
    ledger: Callable[[], Ledger]
    """As the manifest stands."""
    scarce: bool = False
    """What is left is less than all want: it was dealt out, and moves slowly between workers."""
    _accounts: dict[str, _Account] = field(default_factory=dict[str, _Account])
    """Of workers that are heard."""
    _closing: dict[str, Amount | None] = field(default_factory=dict[str, Amount | None])
    """Of workers that run no more; None: all that they drew."""

    def heard(self, incarnation: str, word: SpendWord) -> None:
        """Take in what a worker says; a heartbeat that came twice or late is none of these."""
        account = self._accounts.get(incarnation)
        if account is None:
            account = self._accounts[incarnation] = _Account(word, target=word.allowance)
        account.word = word
        account.sent = word.allowance  # what no reply brought to it never will

    def allowance(self, incarnation: str) -> Amount:
        """Return what the reply to a heartbeat just heard allows its worker."""
        account = self._accounts[incarnation]
        durable = self.ledger().drawn.get(incarnation, NOTHING)
        if account.proposed is not None:
            durable = durable.least(account.proposed)
        account.sent = account.target.least(durable)
        return account.sent

    def lost(self, incarnation: str) -> None:
        """A worker fell silent: all that it drew stays committed."""
        self._accounts.pop(incarnation, None)

    def gone(self, incarnation: str, unproven: Amount | None) -> None:
        """A worker runs no more, and what its journal holds is published.

        Args:
            incarnation: of the worker.
            unproven: what it may have spent beside its attempts; None: nobody knows.
        """
        self._accounts.pop(incarnation, None)
        self._closing[incarnation] = unproven

    def left(self, incarnation: str) -> None:
        """As `gone`, of a worker that said goodbye: its last words tell what it spent."""
        account = self._accounts.get(incarnation)
        exposure = None if account is None else account.word.exposure
        shown = self.ledger().shown.get(incarnation, NOTHING)
        unproven = None if exposure is None else exposure.minus(shown).most(NOTHING)
        self.gone(incarnation, unproven)

    def closed(self, incarnation: str) -> bool:
        """Return whether a worker's account is closed, or there never was one."""
        return incarnation not in self.ledger().drawn

    def free(self) -> Amount:
        """Return what no worker has spent or set aside, nor may have."""
        return self.cap.minus(self.spent())

    def spent(self) -> Amount:
        """Return what the sweep has spent or set aside, or may have."""
        ledger = self.ledger()
        total = ledger.spent.plus(ledger.unproven)
        for incarnation in {*ledger.drawn, *self._accounts}:
            total = total.plus(self._bound(ledger, incarnation))
        return total

    def exhausted(self) -> Amount | None:
        """Return what a call would need, where no worker can send one any more; else None.

        Nothing is on the wire, somebody waits for money, and what is left is too little for all
        who wait.
        """
        words = [account.word for account in self._accounts.values()]
        needs = [word.needs for word in words if word.needs is not None]
        able = any(word.open or (word.needs is not None and not word.short) for word in words)
        if not needs or able:
            return None
        free = self.free()
        return None if any(need.within(free) for need in needs) else min(needs)

    def draw(self) -> Draw | None:
        """Decide all allowances anew; returns what to write down, None where nothing is new.

        The entry must be won, or found lost, before the next call.
        """
        ledger = self.ledger()
        for incarnation in [i for i in self._closing if i not in ledger.drawn]:
            del self._closing[incarnation]
        closed = {
            incarnation: ledger.outstanding(incarnation) if unproven is None else unproven
            for incarnation, unproven in self._closing.items()
        }
        self._decide(ledger)
        drawn = self._raises(ledger)
        for incarnation, amount in drawn.items():
            self._accounts[incarnation].proposed = amount
        return Draw(drawn=drawn, closed=closed) if drawn or closed else None

    def _bound(self, ledger: Ledger, incarnation: str) -> Amount:
        """Return what a worker has spent or set aside, or may have, beyond published attempts."""
        account = self._accounts.get(incarnation)
        if account is not None:
            shown = ledger.shown.get(incarnation, NOTHING)
            return account.word.exposure.minus(shown).most(NOTHING)
        closing = self._closing.get(incarnation)
        return ledger.outstanding(incarnation) if closing is None else closing

    def _decide(self, ledger: Ledger) -> None:
        """Set every target."""
        free, accounts = self.free(), self._accounts
        demands = {i: a.word.wants.times(AHEAD) for i, a in accounts.items()}
        total = NOTHING
        kept: dict[str, Amount] = {}
        for incarnation, account in accounts.items():
            word = account.word
            ahead = ledger.drawn.get(incarnation, NOTHING).minus(word.exposure)
            wanted = demands[incarnation]
            if word.wants.times(LOW).within(ahead):
                wanted = wanted.most(ahead)
            kept[incarnation] = wanted
            total = total.plus(wanted)
        self.scarce = not total.within(free)
        if not self.scarce:
            for incarnation, account in accounts.items():
                account.target = account.word.exposure.plus(kept[incarnation])
            return
        shares = self._dealt(free, demands)
        for incarnation, account in accounts.items():
            account.target = account.word.exposure.plus(shares[incarnation])

    def _dealt(self, free: Amount, demands: Mapping[str, Amount]) -> dict[str, Amount]:
        """Share out what is left: one call each as far as it goes, then evenly."""
        shares = dict.fromkeys(demands, NOTHING)
        left = free.most(NOTHING)
        # Who has its money already keeps it until its permit comes, or nobody would ever have both.
        needy = [
            (account.word.short, account.word.needs, incarnation)
            for incarnation, account in self._accounts.items()
            if account.word.needs is not None
        ]
        for _, need, incarnation in sorted(needy):
            if need.within(left):
                shares[incarnation] = need
                left = left.minus(need).most(NOTHING)
        # Slivers that pay for no call would have to be taken back from who cannot use them.
        rest = {i: demands[i].minus(s).most(NOTHING) for i, s in shares.items() if s != NOTHING}
        usd = max_min({i: d.usd for i, d in rest.items()}, left.usd)
        tokens = max_min({i: d.tokens for i, d in rest.items()}, left.tokens)
        return shares | {i: shares[i].plus(Amount(usd[i], tokens[i])) for i in rest}

    def _raises(self, ledger: Ledger) -> dict[str, Amount]:
        """Return the allowances to write down: raised ones, and beside them what has fallen."""
        accounts = self._accounts
        spare = self.cap.minus(ledger.spent.plus(ledger.unproven))
        for incarnation in ledger.drawn:
            if incarnation not in accounts:
                spare = spare.minus(self._bound(ledger, incarnation))
        floors: dict[str, Amount] = {}
        for incarnation, account in accounts.items():
            known = ledger.drawn.get(incarnation, NOTHING)
            floor = account.counted.most(account.target.least(known))
            floors[incarnation] = floor
            shown = ledger.shown.get(incarnation, NOTHING)
            spare = spare.minus(floor.minus(shown).most(NOTHING))
        spare = spare.most(NOTHING)
        found = dict(floors)
        for incarnation in sorted(accounts, key=lambda i: (accounts[i].word.needs is None, i)):
            wanted = accounts[incarnation].target.minus(floors[incarnation]).most(NOTHING)
            given = wanted.least(spare)
            found[incarnation] = floors[incarnation].plus(given)
            spare = spare.minus(given)
        changed = {
            i: amount
            for i, amount in found.items()
            if not _same(amount, ledger.drawn.get(i, NOTHING))
        }
        raised = any(not a.within(ledger.drawn.get(i, NOTHING)) for i, a in changed.items())
        return changed if raised else {}


def _same(a: Amount, b: Amount) -> bool:
    return abs(a.usd - b.usd) <= EPSILON and abs(a.tokens - b.tokens) <= EPSILON
