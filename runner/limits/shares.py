"""Who gets how much of a group's time: max-min over models, then over a model's workers. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def max_min(demands: Mapping[Key, float], total: float) -> dict[Key, float]:
    """Split `total` so that no share can grow but at the cost of a smaller one.

    Nobody gets more than it demands (Bertsekas and Gallager, Data Networks, 6.5.2).
    """
    shares: dict[Key, float] = {}
    left = total
    todo = sorted(demands.items(), key=lambda item: item[1])
    for place, (key, demand) in enumerate(todo):
        shares[key] = min(demand, left / (len(todo) - place))
        left -= shares[key]
    return shares


def split(
    demands: Mapping[tuple[str, str], float], caps: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """Return each (worker, model)'s share of a group's time, summing up to at most 1.

    Args:
        demands: seconds of the group's time per second that a worker could use for a model.
        caps: the most that a model may take, by limits of its own; absent: 1.
    """
    models: dict[str, float] = {}
    for (_, model), demand in demands.items():
        models[model] = models.get(model, 0.0) + demand
    bounded = {m: min(d, caps.get(m, 1.0), 1.0) for m, d in models.items()}
    shares: dict[tuple[str, str], float] = {}
    for model, share in max_min(bounded, 1.0).items():
        mine = {key: d for key, d in demands.items() if key[1] == model}
        shares.update(max_min(mine, share))
    return shares
