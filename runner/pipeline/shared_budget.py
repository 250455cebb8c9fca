"""One budget for a sweep and its judges, each of which is a sweep of its own.

Each keeps its own account, so each begins from what the others have committed: a judge may spend what
the sweep and the other judges have left, a sweep that goes on what its judges have left. A judge inside a
live sweep has an account there, too (`limits/ledger.py`), and spends what both allow: its own tells the
sessions that come, the sweep's tells its workers now. Elsewhere a judge waits until the sweep has ended.
"""

from __future__ import annotations

from dataclasses import replace

from runner.config.money_schema import BudgetConfig
from runner.core.values import NOTHING, Amount
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.state import SweepState

JUDGING = "judging"


async def spent_by_judges(directory: Place, *, but: str = "") -> Amount:
    """Return what the judges of a sweep have spent, or may have.

    Args:
        directory: of the sweep.
        but: the folder name of a judge to leave out.

    Raises:
        RecordError: a judge's manifest is damaged.
        StorageError: it cannot be read.
    """
    folder = Place(f"{directory.absolute()}/{JUDGING}")
    try:
        names = await folder.names()
    except OSError:
        return NOTHING  # none has ever judged
    total = NOTHING
    for name in names:
        if name != but:
            state = await load_state(open_store(f"{folder.absolute()}/{name}"))
            total = total.plus(state.ledger.committed())
    return total


async def spent_elsewhere(directory: Place, state: SweepState) -> Amount:
    """Return what judges have spent of a sweep's budget that its own ledger will not have.

    Accounts of guests that are still open are closed as empty when the sweep is claimed.

    Raises:
        RecordError: a judge's manifest is damaged.
        StorageError: it cannot be read.
    """
    return (await spent_by_judges(directory)).minus(state.ledger.judged).most(NOTHING)


def without(budget: BudgetConfig, spent: Amount) -> BudgetConfig:
    """Return what a budget leaves beside what others have spent."""
    return replace(
        budget,
        usd=None if budget.usd is None else max(0.0, budget.usd - spent.usd),
        tokens=None if budget.tokens is None else max(0, int(budget.tokens - spent.tokens)),
    )
