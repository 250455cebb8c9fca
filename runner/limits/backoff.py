"""How long to wait before the next attempt. Pure: the random draw is an argument.

Full jitter (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015) where the
server names no time; where it does, never less than that, plus a spread of its own, because
hundreds of workers get the same whole number of seconds.
"""

from __future__ import annotations

_SPREAD = 0.25
"""Jitter on top of a server's time, as a share of that time."""


def backoff_s(failures: int, unit: float, *, initial_s: float, maximum_s: float) -> float:
    """Return the wait after the n-th failure in a row, in seconds.

    `unit · min(maximum, initial · 2^(failures - 1))`, but at least a tenth of that bound, so
    that a draw of zero is not an immediate retry.

    Args:
        failures: failed attempts so far, 1 or more.
        unit: uniform draw in [0, 1).
        initial_s: bound of the first wait.
        maximum_s: bound of every wait.
    """
    bound = min(maximum_s, initial_s * 2.0 ** min(max(failures, 1) - 1, 63))
    return bound * max(unit, 0.1)


def delay_s(
    failures: int,
    unit: float,
    *,
    retry_after_s: float | None,
    initial_s: float,
    maximum_s: float,
) -> float:
    """Return the wait before the next attempt, in seconds.

    With a server's `retry-after` of r: `r + unit · max(initial, min(maximum, r/4))`. It is not
    capped, since an earlier attempt would fail; whether to wait so long or to hand the job back
    is the caller's decision. Without: `backoff_s`.
    """
    if retry_after_s is None or retry_after_s <= 0:
        return backoff_s(failures, unit, initial_s=initial_s, maximum_s=maximum_s)
    spread = max(initial_s, min(maximum_s, retry_after_s * _SPREAD))
    return retry_after_s + unit * spread
