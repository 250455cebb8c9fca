"""How far the stories of a scenario lie apart: it stands beside every rate. Pure.

One story is one observation of its scenario, whatever the number of answers; an interval over
answers or prompts does not say how another story, written by somebody else, would have come out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.observe.amounts import span
from runner.statistics.pooled import Cluster, mean_rate

NOTE = (
    "stories: lowest … highest rate of the same thing in one story of the scenario, and the number of "
    "stories with one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Rates of the stories that a rate belongs to, each over the same conditions of the same model."""

    stories: int = 0
    """Those with an answer that counts."""
    low: float | None = None
    """None without such a story."""
    high: float | None = None


NOWHERE = Spread()


def spread_of(rates: Iterable[float | None]) -> Spread:
    """Return the spread of one rate per story; None where a story has no answer that counts."""
    known = [rate for rate in rates if rate is not None]
    if not known:
        return NOWHERE
    return Spread(stories=len(known), low=min(known), high=max(known))


def spread_beside(keys: Sequence[Hashable], rates: Sequence[float | None]) -> list[Spread]:
    """Return, for each rate of one story, the spread of all with its key: those of its family."""
    groups: dict[Hashable, list[float | None]] = {}
    for key, rate in zip(keys, rates, strict=True):
        groups.setdefault(key, []).append(rate)
    spreads = {key: spread_of(group) for key, group in groups.items()}
    return [spreads[key] for key in keys]


def spread_of_clusters(stories: Mapping[str, Sequence[Cluster]]) -> Spread:
    """Return the spread of the equal-weight means of each story's prompts."""
    return spread_of(mean_rate(clusters) for clusters in stories.values())


def spread_text(spread: Spread) -> str:
    """Return `0 … 12 % of 6`, `one story` where there is nothing to spread, `–` without answers."""
    if spread.low is None or spread.high is None:
        return "–"
    if spread.stories == 1:
        return "one story"
    return f"{span(spread.low, spread.high)} of {spread.stories}"


def spread_values(spread: Spread) -> dict[str, object]:
    """Return the columns of CSV and JSON."""
    return {"stories": spread.stories, "stories_low": spread.low, "stories_high": spread.high}
