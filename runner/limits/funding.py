"""How far ahead each worker's share of a group's time has been granted. Pure.

A share is of time, of which a permit takes as long as its group's binding meter needs for it; so
models with long and short requests get the same part of the quota, not the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from runner.limits.accounts import Account
from runner.limits.pool import Pool
from runner.limits.shares import split

AHEAD_S = 1.1
"""A worker's share is granted up to here: a heartbeat and a little."""
CALM_AHEAD_S = 2.5
"""The same while nothing is refused and answers' lengths play no part."""
FAR_AHEAD_S = 5.5
"""The same while requests alone bind at a rate that stays: bridges the restart of a coordinator's
process, which takes 3 to 6 s on a busy machine."""
LINE_S = 0.5
"""By so much less than a share's time the line should be long; a longer one is let run down, as
what lies on it answers to old news."""
IDLE_LEAD_S = 0.4
"""What nobody has reserved up to here may go to whoever asks, fair share or not."""
OWED_S = FAR_AHEAD_S + 0.5
"""At most so far ahead counts what somebody took of idle time; less than what is granted ahead
would let those who ask first have more than their share."""
BEAT_S = 1.0
RECENT_S = 3.0
"""A want older than this is none."""
RENEW_S = 0.25
NEW_S = 0.02
"""At least so long apart when somebody new asks: hundreds of workers come at once at the start."""


@dataclass(slots=True)
class Funding:
    """The shares of all (worker, model) of one group."""

    shares: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    _at: float = -inf

    def outdated(self, key: tuple[str, str], now: float) -> bool:
        """Return whether the shares should be renewed before one who wants something is served."""
        least = RENEW_S if key in self.shares else NEW_S
        return now - self._at >= least

    def renew(
        self, demands: Mapping[tuple[str, str], float], caps: Mapping[str, float], now: float
    ) -> None:
        """Split anew (see `shares.split`)."""
        self.shares, self._at = split(demands, caps), now

    def room(
        self,
        account: Account,
        key: tuple[str, str],
        permit_s: float,
        *,
        first: float,
        ahead_s: float,
        now: float,
    ) -> int:
        """Return how many permits it may have: by its share, or of what nobody reserved.

        Args:
            account: of the worker and model.
            key: the same.
            permit_s: time of the group that a permit takes.
            first: end of the line.
            ahead_s: up to when its share is granted.
            now: seconds.
        """
        if permit_s <= 0:
            return account.want
        fair = 0
        share = self.shares.get(key, 0.0)
        if share > 0:
            account.funded_to = max(account.funded_to, now - permit_s / share)
            ahead = ahead_s - 0.5 * max(0.0, first - now - ahead_s + LINE_S)
            fair = int((now + ahead - account.funded_to) * share / permit_s + 1e-9)
        return max(fair, room_until(now + IDLE_LEAD_S, first, permit_s))

    def granted(
        self, account: Account, key: tuple[str, str], count: int, permit_s: float, *, now: float
    ) -> None:
        """Count a block; idle time taken beyond the share is owed back for a while at most."""
        share = self.shares.get(key, 0.0)
        account.permit_s = permit_s / share if share > 0 else 0.0
        account.funded_to = min(account.funded_to + count * account.permit_s, now + OWED_S)


def demands_of(
    accounts: Mapping[tuple[str, str], Account], own: Mapping[str, Pool], ramp: float, now: float
) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Return (seconds of the group's time a second that each could use, caps of models).

    Args:
        accounts: by worker and model.
        own: pools of models with limits of their own.
        ramp: share of the rates that is allowed now.
        now: seconds.
    """
    demands: dict[tuple[str, str], float] = {}
    caps: dict[str, float] = {}
    for key, account in accounts.items():
        if account.want <= 0 or now - account.wanted_at > RECENT_S:
            continue
        common = min(account.common_s, BEAT_S)
        demands[key] = account.want * common / BEAT_S
        pool = own.get(key[1])
        if pool is not None and common > 0 and key[1] not in caps:
            slowest, _ = pool.interval(key[1], account.cost, ramp)
            caps[key[1]] = min(1.0, common / slowest) if slowest > 0 else 1.0
    return demands, caps


def room_until(end: float, first: float, interval: float) -> int:
    """Return how many permits from `first` on, so far apart, start until `end`."""
    if first > end:
        return 0
    return int((end - first) / interval) + 1 if interval > 0 else 1_000_000
