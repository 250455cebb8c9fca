"""When is a sweep over, or at its wits' end? Decides for the coordinator; does nothing. Pure."""

from __future__ import annotations

from runner.dispatch.funds import Funds
from runner.dispatch.leases import LeaseTable
from runner.dispatch.watch import Watch


def reason_to_drain(
    table: LeaseTable, watch: Watch, funds: Funds, now: float
) -> tuple[str, str] | None:
    """Return why to drain, in a word (as in `Ended.reason`) and in detail; None: it goes on.

    Args:
        table: what is owed and leased.
        watch: knows whether every worker is heard.
        funds: knows whether a call can be paid for.
        now: monotonic seconds.
    """
    spent = funds.exhausted(now) if watch.certain else None
    if spent is not None:
        return "budget", spent
    if watch.wait_until is not None or not table.settled:
        return None
    left = any(table.owed(model) for model in table.stopped)
    why = "; ".join(f"models.{model}: {why}" for model, why in table.stopped.items())
    return "stopped" if left else "done", why
