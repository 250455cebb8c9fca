"""What a sweep has spent and what its workers may still spend, as the manifest adds up to. Pure.

    committed = spent + unproven + for each open worker what it drew beyond what it has published

*Spent* is what all published attempts count. A worker *draws* when its allowance is raised: the
manifest says so before the worker hears of it, so that whatever a dead worker did is inside of
what it drew. Its account is *closed* once it runs no more and its journal has been published: what
calls on the wire at its end may have cost goes to *unproven*, the rest of what it drew is free
again. Of a worker whose journal nobody can read all that it drew stays committed.

A judge that draws inside the sweep has an account like a worker, under a name that says so. What it
spent is in the ledger of its own sweep, too: `judged` and `of_guests` are what not to count twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.core.values import NOTHING, Amount

GUEST = "judge."
"""How the name of a guest's account begins."""


@dataclass(slots=True)
class Ledger:
    """All entries up to some point, added up."""

    spent: Amount = NOTHING
    unproven: Amount = NOTHING
    drawn: dict[str, Amount] = field(default_factory=dict[str, Amount])
    """Allowances of workers whose accounts are open, by incarnation."""
    shown: dict[str, Amount] = field(default_factory=dict[str, Amount])
    """Of the same: what their published attempts count."""
    judged: Amount = NOTHING
    """Of `unproven`: what guests have spent."""

    def publish(self, incarnation: str, amount: Amount) -> None:
        """Count published attempts of a worker."""
        self.spent = self.spent.plus(amount)
        if incarnation in self.drawn:
            self.shown[incarnation] = self.shown.get(incarnation, NOTHING).plus(amount)

    def draw(self, drawn: Mapping[str, Amount]) -> None:
        """Set the allowances of workers, lower ones too."""
        self.drawn.update(drawn)

    def close(self, closed: Mapping[str, Amount]) -> None:
        """Close accounts, each with what its worker may have spent beside its attempts."""
        for incarnation, unproven in closed.items():
            if self.drawn.pop(incarnation, None) is not None:
                self.unproven = self.unproven.plus(unproven)
                if incarnation.startswith(GUEST):
                    self.judged = self.judged.plus(unproven)
            self.shown.pop(incarnation, None)

    def outstanding(self, incarnation: str) -> Amount:
        """Return what a worker may have spent, or may still spend, beyond its published attempts."""
        drawn = self.drawn.get(incarnation, NOTHING)
        return drawn.minus(self.shown.get(incarnation, NOTHING)).most(NOTHING)

    def own(self) -> Amount:
        """Return what is committed but for guests: their own sweeps tell what they spent."""
        return self.committed().minus(self.of_guests())

    def of_guests(self) -> Amount:
        """Return what guests have spent, or may have, of what is committed."""
        total = self.judged
        for incarnation in self.drawn:
            if incarnation.startswith(GUEST):
                total = total.plus(self.outstanding(incarnation))
        return total

    def committed(self, incarnations: Iterable[str] | None = None) -> Amount:
        """Return what is spent or may be, of all open accounts or of these."""
        total = self.spent.plus(self.unproven)
        for incarnation in self.drawn if incarnations is None else incarnations:
            total = total.plus(self.outstanding(incarnation))
        return total
