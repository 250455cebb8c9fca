"""How a sweep used its quotas, from the attempts table: means over all attempts ever recorded."""

from __future__ import annotations

from runner.observe.quotas import METERS, QuotaHistory
from runner.record.query import Tables

_BOUND = ", ".join(f"count(*) filter (binds = '{m}')" for m in METERS)
_USED = ", ".join(f"avg((note ->> '$.use.{m}')::double)" for m in METERS)
_FOREIGN = ", ".join(
    f"coalesce(sum((note ->> '$.foreign.{m}')::double), 0) / count(*)" for m in METERS
)
_USE = f"""
with noted as (
  select quota::json as note, quota ->> '$.group' as grp, quota ->> '$.binds' as binds,
    quota ->> '$.breaker' as breaker, failure_kind, waited_s
  from read_parquet($shards) where quota is not null and quota <> ''
)
select grp, count(*), {_USED}, {_BOUND}, {_FOREIGN},
  count(*) filter (failure_kind in ('rate_limited', 'ramp_limited')),
  count(*) filter (breaker <> 'closed'),
  avg(waited_s), approx_quantile(waited_s, 0.95), max((note ->> '$.in_flight_limit')::bigint)
from noted where grp is not null group by grp order by grp
"""  # noqa: S608  # names of meters are ours


def quota_use(tables: Tables) -> list[QuotaHistory]:
    """Return what each quota group saw, by name; empty before the first published attempt.

    Raises:
        RecordError: a shard cannot be read.
    """
    shards = tables.files("attempts")
    if not shards:
        return []
    found: list[QuotaHistory] = []
    n = len(METERS)
    for group, attempts, *rest in tables.stream(_USE, {"shards": shards}):
        used, bound, foreign = rest[:n], rest[n : 2 * n], rest[2 * n : 3 * n]
        refused, not_closed, waited, waited_p95, limit = rest[3 * n :]
        found.append(
            QuotaHistory(
                group=group,
                attempts=attempts,
                use={m: u for m, u in zip(METERS, used, strict=True) if u is not None},
                bound={m: b / attempts for m, b in zip(METERS, bound, strict=True) if b},
                foreign={m: f for m, f in zip(METERS, foreign, strict=True) if f},
                refused_share=refused / attempts,
                outage_share=not_closed / attempts,
                waited_s=waited,
                waited_p95_s=waited_p95,
                in_flight_limit=limit,
            )
        )
    return found
