"""A quota group at one moment, for `runner status`, the progress display and the attempts table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.observe.amounts import count, duration, percent
from runner.observe.terminal import one_line

METERS = ("requests", "input_tokens", "output_tokens")
_SHORT = {"requests": "requests", "input_tokens": "input", "output_tokens": "output"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterProgress:
    """One bucket."""

    meter: str
    """requests, input_tokens or output_tokens."""
    limit: float | None = None
    """Per minute; None: unknown."""
    source: str = "config"
    """config, header or learned."""
    target: float | None = None
    """Per minute: what is aimed at now."""
    utilisation: float | None = None
    """Share of the limit used over the last minute."""
    foreign: float | None = None
    """Share of the limit that others use, estimated from headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaProgress:
    """One quota group."""

    group: str
    models: tuple[str, ...] = ()
    meters: tuple[MeterProgress, ...] = ()
    """Empty: not limited by rate."""
    binds: str | None = None
    """The meter that held requests back last; None: demand did."""
    refused_share: float = 0.0
    """429s per request that ended, last minute."""
    breaker: str = "closed"
    """closed, open or half_open."""
    hold_s: float = 0.0
    """Until anything is sent again."""
    waiting_s: float = 0.0
    """What a request asked for now would wait for its permit."""
    in_flight_limit: int | None = None
    """Requests at once that adapt to the server, where no quota is known."""

    def note(self) -> dict[str, object]:
        """Return what the attempts table keeps, rounded."""
        found: dict[str, object] = {"group": self.group, "breaker": self.breaker}
        if self.meters:
            found["use"] = {m.meter: _round(m.utilisation) for m in self.meters}
            found["foreign"] = {m.meter: _round(m.foreign) for m in self.meters if m.foreign}
            found["binds"] = self.binds
            found["wait_s"] = round(self.waiting_s, 1)
        else:
            found["in_flight_limit"] = self.in_flight_limit
        found["refused"] = round(self.refused_share, 4)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaHistory:
    """One quota group over a whole sweep: means over the attempts that are recorded."""

    group: str
    attempts: int
    use: Mapping[str, float]
    """Share of each meter's limit."""
    bound: Mapping[str, float]
    """Share of the attempts at which a meter held requests back."""
    foreign: Mapping[str, float]
    """Share of each limit that others used."""
    refused_share: float
    """429s per attempt."""
    outage_share: float
    """Share of the attempts at which the breaker was not closed."""
    waited_s: float
    """For a place and a permit."""
    waited_p95_s: float
    in_flight_limit: int | None = None
    """The most that adapted requests in flight came to, where no quota is known."""


def history_lines(histories: Sequence[QuotaHistory]) -> list[str]:
    """Return one line per group of a sweep that no process runs."""
    return [f"  quota {one_line(h.group, 24)}: {_history(h)}" for h in histories]


def _history(h: QuotaHistory) -> str:
    parts = [f"{_SHORT[m]} {percent(u)}{_bound(h.bound.get(m, 0.0))}" for m, u in h.use.items()]
    if h.in_flight_limit is not None:
        parts.append(f"up to {count(h.in_flight_limit)} in flight")
    parts.append(f"429s {percent(h.refused_share)}")
    parts += [f"others {percent(f)} of {_SHORT[m]}" for m, f in h.foreign.items() if f >= 0.01]
    parts.append(
        f"breaker open at {percent(h.outage_share)}" if h.outage_share else "breaker stayed closed"
    )
    parts.append(f"waits {h.waited_s:.1f} s, p95 {h.waited_p95_s:.1f} s")
    return f"{' · '.join(parts)} (over {count(h.attempts)} attempts)"


def _bound(share: float) -> str:
    return f" (binds {percent(share)} of the time)" if share else ""


def quota_lines(quotas: Sequence[QuotaProgress]) -> list[str]:
    """Return one line per group: use of each bucket, what binds, 429s, others, breaker, waits."""
    return [f"  quota {one_line(q.group, 24)}: {quota_line(q)}" for q in quotas if _has_news(q)]


def quota_line(quota: QuotaProgress) -> str:
    """Return a group in one line, without its name."""
    parts = [_meter(m, binds=m.meter == quota.binds) for m in quota.meters]
    if not quota.meters and quota.in_flight_limit is not None:
        parts.append(f"up to {count(quota.in_flight_limit)} in flight")
    if quota.meters or quota.refused_share:
        parts.append(f"429s {percent(quota.refused_share)}")
    parts += [
        f"others {percent(m.foreign)}"
        for m in quota.meters
        if m.foreign is not None and m.foreign >= 0.01
    ]
    if quota.breaker != "closed":
        parts.append(f"breaker {quota.breaker.replace('_', ' ')}")
    if quota.hold_s >= 1.0:
        what = "next probe" if quota.breaker != "closed" else "paused, goes on"
        parts.append(f"{what} in {duration(quota.hold_s)}")
    elif quota.waiting_s >= 1.0:
        parts.append(f"a permit takes {duration(quota.waiting_s)}")
    return " · ".join(parts)


def outages(quotas: Sequence[QuotaProgress]) -> list[str]:
    """Return what everybody should see: groups of which nothing is sent at present but probes."""
    return [
        f"{one_line(q.group, 24)} is overloaded or away, {_probe(q)}"
        for q in quotas
        if q.breaker != "closed"
    ]


def _probe(quota: QuotaProgress) -> str:
    if quota.breaker == "open":
        return f"next probe in {duration(quota.hold_s)}"
    return "a probe waits for its answer"


def _has_news(quota: QuotaProgress) -> bool:
    return bool(quota.meters) or quota.breaker != "closed" or quota.refused_share > 0


def _meter(meter: MeterProgress, *, binds: bool) -> str:
    name = _SHORT.get(meter.meter, meter.meter)
    mark = " (binds)" if binds else ""
    if meter.utilisation is None or meter.limit is None:
        rate = "" if meter.target is None else f" {count(int(meter.target))} a minute"
        return f"{name}{rate or ' ?'}{mark}"
    return f"{name} {percent(meter.utilisation)} of {count(int(meter.limit))}{mark}"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
