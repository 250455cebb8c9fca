"""The published standard limits by tier, for guesses and for "what if we had the next one". Pure data.

Source: the vendor's page on rate limits, August 2026. Limits are an account's own and change; a
configuration, response headers and the Rate Limits API go before this table, which no sweep reads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One row for one family of models; all by the minute."""

    name: str
    rpm: float
    itpm: float
    """Uncached input."""
    otpm: float


_MOST = (
    Tier(name="Start", rpm=1000, itpm=2_000_000, otpm=400_000),
    Tier(name="Build", rpm=5000, itpm=5_000_000, otpm=1_000_000),
    Tier(name="Scale", rpm=10_000, itpm=10_000_000, otpm=2_000_000),
)
_FABLE = (
    Tier(name="Start", rpm=1000, itpm=500_000, otpm=100_000),
    Tier(name="Build", rpm=2000, itpm=1_500_000, otpm=300_000),
    Tier(name="Scale", rpm=4000, itpm=4_000_000, otpm=800_000),
)


def tiers_of(model_id: str) -> tuple[Tier, ...]:
    """Return the tiers of a model id, the smallest first; empty where none are published."""
    if not model_id.startswith("claude-"):
        return ()
    return _FABLE if model_id.startswith("claude-fable") else _MOST


def next_tier(
    model_id: str, *, rpm: float | None, itpm: float | None, otpm: float | None
) -> Tier | None:
    """Return the first tier that gives less of nothing and more of something; None: there is none.

    Args:
        model_id: as the API knows it.
        rpm: requests a minute at present; None: not limited.
        itpm: input tokens.
        otpm: output tokens.
    """
    for tier in tiers_of(model_id):
        pairs = ((tier.rpm, rpm), (tier.itpm, itpm), (tier.otpm, otpm))
        told = [(more, have) for more, have in pairs if have is not None]
        if all(more >= have for more, have in told) and any(more > have for more, have in told):
            return tier
    return None
