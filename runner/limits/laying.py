"""Where single requests lie on a group's line when input tokens bind: by their own sizes. Pure.

A server's bucket of a second holds some twenty mean prompts, and single ones take half of it. Laid
at even distances, prompts of mixed lengths leave its level to chance; so each permit is laid where
the one before it has been refilled (GCRA with the sizes as costs), a part of its own refill later:
that is where a long prompt finds the room that others' jitter has left of the bucket. (Simulated with
a bucket of 1 s, lognormal prompts, σ = 1, of 4.5 % of it and jitter of 60 ms: 0.02 % refused without
that part, 0.0004 % with it, and no loss of use.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice, repeat

from runner.limits.quota import Step

BEFORE = 0.15
"""Share of a request's own refill that is waited for ahead of it."""
MOST_BEFORE = 0.4
"""The same for one that takes so many seconds of the quota or more: a server may want a full bucket."""


def lay(
    sizes: Sequence[float],
    *,
    mean: float,
    mean_s: float,
    least_s: float,
    funded_s: float,
    lead_s: float,
    most: int,
) -> tuple[tuple[Step, ...], float]:
    """Return the permits of a block, and the time that one takes on the line by their mean.

    Args:
        sizes: input tokens of the next requests, in order; what follows is of the mean size.
        mean: input tokens of a mean request.
        mean_s: time that it takes by the input meter.
        least_s: what any request takes by the other meters.
        funded_s: permits begin within so much time, at least one.
        lead_s: and none later than this after the first.
        most: permits, at least one.
    """
    steps: list[Step] = []
    at = 0.0
    for size in islice(chain(sizes, repeat(mean)), most):
        takes_s = max(least_s, size * mean_s / mean)
        before_s = takes_s * min(MOST_BEFORE, max(BEFORE, takes_s))
        if not steps:
            before_s = min(before_s, lead_s)
        elif at >= funded_s - 1e-9 or at + before_s > lead_s:
            break
        steps.append(Step(after_s=at + before_s, input_tokens=size))
        at += takes_s
    return tuple(steps), at / len(steps)


def mean_size(steps: Sequence[Step]) -> float:
    """Return the input tokens of a mean permit."""
    return sum(step.input_tokens for step in steps) / len(steps)
