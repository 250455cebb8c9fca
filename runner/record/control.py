"""Requests to a running sweep, written by commands, read by its coordinator once a cycle.

Two objects. `events/control-<claim>.json` asks the coordinator of that claim, and no later one, to
stop. `events/control.json` holds what was changed on the live sweep and stays true for every later
coordinator until somebody changes it again: a job system that starts the sweep anew after a
preemption must not forget that an operator halved a quota. A budget that the configuration changed
since is newer than the one asked for here, and counts. Each is replaced whole; of two writers at the
same moment the later one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from runner.config.money_schema import BudgetConfig
from runner.core.errors import RecordError
from runner.core.seams import KeyMissingError, Store
from runner.record.layout import EVENTS
from runner.record.manifest import load_state

CONTROL = f"{EVENTS}control.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What was changed on the live sweep; the empty one changes nothing."""

    paused: bool = False
    """No request starts; what is on the wire ends and is recorded."""
    cancelled: tuple[str, ...] = ()
    """Models of which nothing further is run."""
    quotas: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict[str, Mapping[str, float]]
    )
    """By quota group, then by `rpm`, `itpm`, `otpm`: a minute."""
    max_in_flight: Mapping[str, int] = field(default_factory=dict[str, int])
    """By model."""
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    """By `usd`, `tokens`: other limits than the configured ones."""
    budget_at: int = 0
    """The last manifest entry when these were asked for."""

    def within(self, configured: BudgetConfig, since: int) -> BudgetConfig:
        """Return the budget that counts.

        Args:
            configured: in the sweep's configuration.
            since: the last manifest entry when the configuration got that budget.
        """
        changed = self.since(since).budget
        tokens = changed.get("tokens", configured.tokens)
        return replace(
            configured,
            usd=changed.get("usd", configured.usd),
            tokens=None if tokens is None else int(tokens),
        )

    def since(self, configured: int) -> Control:
        """Return it without a budget that the configuration has replaced at that entry, or later."""
        return self if self.budget_at > configured else replace(self, budget={}, budget_at=0)

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def control_key(claim: int) -> str:
    """Return the key of the requests to the claimer of that number."""
    return f"{EVENTS}control-{claim:08d}.json"


async def ask_to_stop(store: Store) -> int | None:
    """Ask whoever holds the sweep to stop; returns its claim, None where nobody holds it.

    Raises:
        RecordError: the manifest is damaged.
        StorageError: the store refuses.
    """
    state = await load_state(store)
    if state.last_claim is None or state.is_free:
        return None
    number = state.last_claim.number
    await store.put(control_key(number), orjson.dumps({"stop": True}))
    return number


async def stop_asked(store: Store, claim: int) -> bool:
    """Return whether the claimer of that number is to stop.

    Raises:
        StorageError: the store cannot be read.
    """
    try:
        return bool(orjson.loads(await store.get(control_key(claim))).get("stop"))
    except (KeyMissingError, ValueError, AttributeError):
        return False


async def read_control(store: Store) -> Control:
    """Return what was changed on the live sweep.

    Raises:
        RecordError: the object is no such thing.
        StorageError: the store cannot be read.
    """
    try:
        raw = orjson.loads(await store.get(CONTROL))
        return Control(
            paused=bool(raw["paused"]),
            cancelled=tuple(str(m) for m in raw["cancelled"]),
            quotas={
                str(g): {str(k): float(v) for k, v in limits.items()}
                for g, limits in raw["quotas"].items()
            },
            max_in_flight={str(m): int(n) for m, n in raw["max_in_flight"].items()},
            budget={str(unit): float(n) for unit, n in raw["budget"].items()},
            budget_at=int(raw["budget_at"]),
        )
    except KeyMissingError:
        return Control()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{CONTROL}: not what `runner control` writes ({error}). Take it away, and ask again"
        raise RecordError(msg) from None


async def write_control(store: Store, control: Control) -> None:
    """Put it in the place of what stood there.

    Raises:
        StorageError: the store refuses.
    """
    await store.put(CONTROL, orjson.dumps(control.values()))
