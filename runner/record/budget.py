"""Which budget of a sweep counts: the configured one, or what an operator asked for since.

`sweep.yaml` says beside the configuration since which manifest entry its budget stands (`stated`),
`events/control.json` at which entry another one was asked for. The later one counts, so that neither
a restart by a job system forgets what an operator asked for, nor does an old request stand against a
budget that was configured after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.config.money_schema import BudgetConfig
from runner.config.resolved import resolved_facts
from runner.core.errors import RecordError
from runner.core.seams import KeyMissingError, Store
from runner.record.control import read_control
from runner.record.layout import CONFIGURATION

FACT = "budget"
_SINCE = " since entry "


def stated(budget: BudgetConfig, facts: Mapping[str, str], head: int) -> str:
    """Return what `sweep.yaml` is to say of its budget.

    Args:
        budget: of the new configuration.
        facts: of the old `sweep.yaml`.
        head: the last manifest entry.
    """
    words = f"usd {budget.usd}, tokens {budget.tokens}"
    before = facts.get(FACT, "")
    return before if before.startswith(words + _SINCE) else f"{words}{_SINCE}{head}"


def since_of(fact: str) -> int:
    """Return the manifest entry out of what `stated` made; 0 out of anything else."""
    entry = fact.rpartition(_SINCE)[2]
    return int(entry) if entry.isdecimal() else 0


async def budget_in_force(store: Store, configured: BudgetConfig) -> BudgetConfig:
    """Return the budget that counts.

    Raises:
        RecordError: `sweep.yaml` is a newer runner's.
        StorageError: the store cannot be read.
    """
    try:
        control = await read_control(store)
    except RecordError:
        return configured  # a coordinator leaves a damaged one out, too, and tells of it
    return control.within(configured, await budget_since(store)) if control.budget else configured


async def budget_since(store: Store) -> int:
    """Return the manifest entry since which the configuration has its budget.

    Raises:
        RecordError: `sweep.yaml` is a newer runner's.
        StorageError: the store cannot be read.
    """
    try:
        text = (await store.get(CONFIGURATION)).decode(errors="replace")
    except KeyMissingError:
        return 0
    return since_of(resolved_facts(text).get(FACT, ""))
