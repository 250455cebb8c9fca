"""What a sweep cost: attempts, refused and repeated requests, tokens, money and time.

By model under test, and of it by who was asked: itself, or a model in a role of its rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.core.money import Tariff, uncached
from runner.core.values import TARGET, Usage
from runner.record.query import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the attempts in one role cost; every attempt ever recorded, of dead letters too."""

    model: str
    """The model under test, in whose rollouts they were made."""
    role: str = TARGET
    """Who was asked: the model under test, or a role of the scenario."""
    asked: str = ""
    """Name of the model that plays the role; empty for the model under test."""
    attempts: int
    failures: Mapping[str, int]
    """By FailureKind."""
    input_tokens: int
    """All input, cached included."""
    output_tokens: int
    cached_tokens: int = 0
    """Part of input_tokens that was read from a prompt cache."""
    saved_usd: float | None = None
    """By prompt caching: what the same answers would have cost without, less what they cost; below
    0 where more was written than read. None: no price, or nothing was cached."""
    retries: int = 0
    """Attempts beyond the first of their call."""
    rate_limited: int = 0
    """Answered with 429."""
    cost_usd: float | None = None
    """Sum of the known costs; None where none is known."""
    cost_unknown: int = 0
    """Answered attempts whose cost is not known: never counted as 0."""
    latency_s: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of answered attempts: p50 and p95."""
    started_at: str = ""
    """ISO 8601, of the first attempt."""
    ended_at: str = ""
    """ISO 8601, when the last attempt was sent."""


_KINDS = """
select model, role, coalesce(role_model, ''), failure_kind, count(*) from read_parquet($shards)
where failure_kind is not null group by all order by all
"""
_SPENT = """
select model, role, coalesce(role_model, ''), count(*),
  coalesce(sum(input_tokens + cache_read_tokens + cache_write_tokens), 0)::bigint,
  coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cache_read_tokens), 0)::bigint,
  count_if(number > 1), count_if(coalesce(status = 429, false)), sum(cost_usd),
  count_if(answered and cost_usd is null),
  approx_quantile(latency_s, 0.5) filter (answered),
  approx_quantile(latency_s, 0.95) filter (answered),
  min(started_at), max(started_at)
from read_parquet($shards) group by model, role, role_model
order by model, role <> 'target', role, role_model
"""


_CACHED = """
select model, role, coalesce(role_model, ''),
  epoch(date_trunc('hour', started_at::timestamp)),
  ceil((input_tokens + cache_read_tokens + cache_write_tokens) / 1000)::bigint as thousands,
  sum(input_tokens)::bigint, sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint
from read_parquet($shards)
where cost_usd is not null and cache_read_tokens + cache_write_tokens > 0
group by model, role, role_model, 4, thousands
"""
"""Within an hour and a thousand tokens of prompt, prices are the same."""


def saved_by_model(
    tables: Tables, tariffs: Mapping[str, Tariff], kept_hours: frozenset[str]
) -> dict[tuple[str, str, str], float]:
    """Return what prompt caching saved, in USD, by model, role and who played it, where it did.

    At ordinary rates: what other terms (such as an inference region) add is left out of both sides.

    Args:
        tables: of the sweep.
        tariffs: by name of the model that answered.
        kept_hours: names of models whose entries are kept, and paid for, an hour.

    Raises:
        RecordError: a shard cannot be read.
    """
    found: dict[tuple[str, str, str], float] = {}
    shards = tables.files("attempts")
    groups = tables.stream(_CACHED, {"shards": shards}) if shards else ()
    for model, role, asked, at, thousands, plain, read, written in groups:
        answered_by = asked or model
        tariff = tariffs.get(answered_by)
        if tariff is None:
            continue
        usage = Usage(
            input_tokens=plain,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=written if answered_by in kept_hours else 0,
        )
        rates = tariff.rates(at, thousands * 1000)
        cost, without = rates.cost_usd(usage), rates.cost_usd(uncached(usage))
        if cost is not None and without is not None:
            key = (model, role, asked)
            found[key] = found.get(key, 0.0) + without - cost
    return found


def spent_by_model(tables: Tables) -> list[Spent]:
    """Return what attempts cost, by model under test and who was asked; itself first.

    Raises:
        RecordError: a shard cannot be read.
    """
    shards = tables.files("attempts")
    if not shards:
        return []
    failures: dict[tuple[str, str, str], dict[str, int]] = {}
    for model, role, asked, kind, rows in tables.stream(_KINDS, {"shards": shards}):
        failures.setdefault((model, role, asked), {})[kind] = rows
    return [
        Spent(
            model=model,
            role=role,
            asked=asked,
            attempts=attempts,
            failures=failures.get((model, role, asked), {}),
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cached_tokens=cached,
            retries=retries,
            rate_limited=limited,
            cost_usd=cost,
            cost_unknown=unknown,
            latency_s={} if p50 is None else {"p50": p50, "p95": p95},
            started_at=first,
            ended_at=last,
        )
        for (
            model, role, asked, attempts, tokens_in, tokens_out, cached, retries, limited, cost, unknown, p50, p95,
            first, last,
        ) in tables.stream(_SPENT, {"shards": shards})
    ]  # fmt: skip
