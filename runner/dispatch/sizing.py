"""How many workers a sweep can feed: more would only hold nodes and wait. Pure.

A worker is one event loop; it carries thousands of requests in flight and hundreds a second
(docs/performance.md), so what bounds a sweep is nearly always its quota. Workers are counted by what
each must at least get to be worth its process. Where nothing is known (a quota to be learnt, no limit at all)
the user's number stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf

from runner.config.schema import ModelConfig
from runner.dispatch.quota_plan import QuotaPlan

REQUESTS_PER_S = 20.0
"""A worker with less than this to send is idle for 98 % of its core."""
PLACES = 8
"""Requests in flight, of a model without a quota, for which a further process is worth starting."""
SPARE = 2
"""So many are started whatever the quota: when one is lost, another goes on."""


def target_workers(
    asked: int, owed: Mapping[str, int], quota: QuotaPlan, models: Mapping[str, ModelConfig]
) -> int:
    """Return how many workers to start: at most `asked`, at least one.

    Args:
        asked: by the user.
        owed: jobs by model; models without any feed nobody.
        quota: who draws on what.
        models: by name.
    """
    jobs = sum(owed.values())
    groups = {quota.uses[m].group for m, n in owed.items() if n and m in quota.paced}
    feeds = sum(_by_rate(quota.groups[g].rpm) for g in groups)
    feeds += sum(
        min(models[m].max_in_flight, n) / PLACES
        for m, n in owed.items()
        if n and m not in quota.paced
    )
    fed = jobs if feeds == inf else ceil(feeds)
    return max(1, min(asked, jobs, max(SPARE, fed)))


def _by_rate(rpm: float | None) -> float:
    return inf if rpm is None else rpm / 60.0 / REQUESTS_PER_S
