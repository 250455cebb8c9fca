"""Rates given a label: how often an answer is harmful among those that say they are tested, and so on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.core.seeds import SeedSet
from runner.record.query import Tables
from runner.report.counts import COUNTED, range_parameters
from runner.report.spread import NOWHERE, Spread, spread_beside
from runner.statistics.binomial import LEVEL, Rate, rate


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLabel:
    """Graded answers of one model in one scenario that carry one label."""

    labeller: str
    """The grader that gave the label."""
    label: str
    """Its outcome, or its verdict state in brackets where it gave none."""
    scenario: str
    model: str
    rate: Rate
    """Over answers to several prompts: about the mean on exactly these."""
    independent: bool = True
    """Whether n means something; where a cell's answers repeat each other no interval is shown."""
    spread: Spread = NOWHERE
    """Given the same label, over the stories of the family."""


_ROWS = f"""
select t.scenario, t.model,
  case when l.state = 'graded' then l.outcome else '(' || coalesce(l.state, 'not graded') || ')' end,
  count(*), count_if(coalesce(v.harmful, false)), list(distinct t.cell)
from read_parquet($shards) t {COUNTED}
join read_parquet($verdicts) v on v.cell = t.cell and v.seed = t.seed
left join read_parquet($labels) l on l.cell = t.cell and l.seed = t.seed
where v.state = 'graded' and t.end_state in ('answered', 'truncated')
group by all order by all
"""  # noqa: S608  # constants


def given_labels(
    tables: Tables,
    seeds: Mapping[int, SeedSet],
    verdicts: Sequence[str],
    labels: Mapping[str, Sequence[str]],
    level: float = LEVEL,
    *,
    dependent: frozenset[int] = frozenset(),
    families: Mapping[str, str] | None = None,
) -> list[GivenLabel]:
    """Return the rates by label, of each grader that labels.

    Args:
        tables: the sweep.
        seeds: cell number to the seeds that count.
        verdicts: verdict files of the grader whose rates are asked for.
        labels: labelling grader to its verdict files.
        level: coverage.
        dependent: cells whose answers repeat each other.
        families: scenario to its family, itself where absent.

    Raises:
        RecordError: a file cannot be read.
    """
    shards = tables.files("transcripts")
    out: list[GivenLabel] = []
    if not shards or not verdicts or not seeds:
        return out
    base: dict[str, object] = {"shards": shards, "verdicts": verdicts, **range_parameters(seeds)}
    for labeller, files in labels.items():
        if files:
            out += [
                GivenLabel(
                    labeller=labeller, label=label, scenario=scenario, model=model,
                    rate=rate(events, n, level), independent=dependent.isdisjoint(cells),
                )
                for scenario, model, label, n, events, cells in tables.stream(
                    _ROWS, base | {"labels": files}
                )
            ]  # fmt: skip
    return _with_spread(out, families or {})


def _with_spread(given: Sequence[GivenLabel], families: Mapping[str, str]) -> list[GivenLabel]:
    keys = [(families.get(g.scenario, g.scenario), g.model, g.labeller, g.label) for g in given]
    spreads = spread_beside(keys, [g.rate.value for g in given])
    return [replace(g, spread=each) for g, each in zip(given, spreads, strict=True)]
