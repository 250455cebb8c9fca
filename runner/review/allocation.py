"""How many records of each stratum are labelled, and which of those a second time. Pure.

Strata are model × scenario × verdict. Each gets two records at least (one where the sample is too
small for that, all where it has fewer), the rest goes by the square root of their sizes: rare verdicts,
which decide about recall and about precision, are taken far more often than common ones, and none of
them is left out. Within a stratum every record is as likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from runner.core.errors import ConfigError

LEAST_TWICE = 0.2
"""At least a fifth is labelled twice."""
_FLOOR = 2


@dataclass(frozen=True, slots=True, order=True)
class Stratum:
    """Records that are drawn alike."""

    model: str
    scenario: str
    verdict: str
    """Outcome by the reviewed grader; its state where it gave none."""


def allocate(sizes: Mapping[Stratum, int], items: int) -> dict[Stratum, int]:
    """Return how many records of each stratum are drawn.

    Args:
        sizes: records of each stratum.
        items: of all strata together; fewer are drawn only where there are no more.

    Raises:
        ConfigError: fewer items than strata.
    """
    used = {s: n for s, n in sorted(sizes.items()) if n}
    if items < len(used):
        msg = (
            f"--items {items}: there are {len(used)} strata (model × scenario × outcome) and each needs "
            f"a label. Give {_FLOOR * len(used)} or more."
        )
        raise ConfigError(msg)
    floor = _FLOOR if items >= _FLOOR * len(used) else 1
    out = {s: min(n, floor) for s, n in used.items()}
    while (left := items - sum(out.values())) > 0:
        open_ = [s for s in used if out[s] < used[s]]
        if not open_:
            break
        _spread(out, used, open_, left)
    return out


def _spread(
    out: dict[Stratum, int], sizes: Mapping[Stratum, int], open_: Sequence[Stratum], left: int
) -> None:
    """Give out at least one of `left`, by square roots, never beyond a stratum's size."""
    whole = sum(sqrt(sizes[s]) for s in open_)
    wanted = {s: left * sqrt(sizes[s]) / whole for s in open_}
    given = {s: min(sizes[s] - out[s], int(wanted[s])) for s in open_}
    if not any(given.values()):
        most = sorted(open_, key=lambda s: (-wanted[s], s))[:left]
        given = dict.fromkeys(most, 1)
    for stratum, more in given.items():
        out[stratum] += more


def twice(keys: Sequence[str], share: float) -> frozenset[str]:
    """Return which records are labelled twice: evenly spaced, so that every stratum has its share.

    Args:
        keys: of the sample, stratum by stratum.
        share: at least `LEAST_TWICE`.

    Raises:
        ConfigError: a smaller share, or one above 1.
    """
    if not LEAST_TWICE <= share <= 1:
        msg = f"--twice {share}: give a share from {LEAST_TWICE} (a fifth) to 1."
        raise ConfigError(msg)
    count = ceil(share * len(keys) - 1e-9)
    return frozenset(keys[i * len(keys) // count] for i in range(count)) if count else frozenset()
