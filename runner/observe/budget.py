"""What a sweep has spent of its budget, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runner.observe.amounts import money, short


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetProgress:
    """Spending of a whole sweep, all its sessions, against its limits."""

    usd: float = 0.0
    """Spent or set aside for calls on the wire, or drawn by workers of whom nobody knows."""
    tokens: float = 0.0
    usd_limit: float | None = None
    tokens_limit: int | None = None

    @property
    def limited(self) -> bool:
        """Return whether there is any limit."""
        return self.usd_limit is not None or self.tokens_limit is not None

    def higher(self) -> list[str]:
        """Return overrides that go on where the budget is used up: the limits that bind, doubled."""
        used: dict[str, tuple[float, float]] = {}
        if self.usd_limit is not None:
            used["usd"] = self.usd / self.usd_limit, self.usd_limit
        if self.tokens_limit is not None:
            used["tokens"] = self.tokens / self.tokens_limit, self.tokens_limit
        most = max((share for share, _ in used.values()), default=0.0)
        return [
            f"budget.{unit}={2 * limit:g}" if unit == "usd" else f"budget.{unit}={2 * limit:.0f}"
            for unit, (share, limit) in used.items()
            if share >= min(most, 0.9)
        ]

    def words(self) -> list[str]:
        """Return `spent 2.10 of 4.50 USD` and the like, one part per limit."""
        parts: list[str] = []
        if self.usd_limit is not None:
            parts.append(f"spent {_dollars(self.usd)} of {_dollars(self.usd_limit)} USD")
        elif self.usd:
            parts.append(f"spent {money(self.usd)} USD")
        if self.tokens_limit is not None:
            parts.append(f"used {short(self.tokens)} of {short(self.tokens_limit)} tokens")
        return parts


def _dollars(usd: float) -> str:
    """Return dollars as bills have them: `0.50`, where `money` says `0.5`."""
    return f"{usd:,.2f}" if usd >= 0.1 or not usd else money(usd)
