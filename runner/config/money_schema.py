"""The keys `prices`, `budget` and `tripwire`: what calls cost, and what stops them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class PriceConfig:
    """Prices of a model that the price list does not know, in USD per million tokens."""

    like: str | None = None
    """Those of this model id at its maker, instead of numbers: for gateways and simulators."""
    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    """None: as `input`."""
    cache_write: float | None = None
    """Kept for five minutes. None: as `input`."""
    cache_write_1h: float | None = None
    """Kept for an hour. None: as `cache_write`."""


@dataclass(kw_only=True)
class BudgetConfig:
    """A hard limit on what all calls of a sweep cost together, over all its sessions.

    No part of the identity: raise it and go on.
    """

    usd: float | None = None
    """Dollars, by the same prices as everywhere. A call whose price is not known is not sent."""
    tokens: int | None = None
    """All input (read from a prompt cache, too) and all output."""

    @property
    def limited(self) -> bool:
        """Return whether there is any limit."""
        return self.usd is not None or self.tokens is not None


@dataclass(kw_only=True)
class TripwireConfig:
    """Stops a model whose first answers are worth nothing, before the rest is paid for."""

    jobs: int = 20
    """After so many ended jobs of a model; 0: never."""
    share: float = 0.5
    """Stops where more than this share of them is empty, refused, truncated or failed."""
