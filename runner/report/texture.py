"""Looks at the answers themselves: do they repeat each other, do arms differ at all, who answered.

Three things make an n mean less than it says, and none shows in a rate: a server that returns the
same text for every seed, an arm whose change never reached the model (byte-identical answers at the
same seeds in both arms), and a model id that changed under the sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.core.seeds import SeedSet
from runner.record.query import Tables
from runner.report.counts import COUNTED, range_parameters

LEAST_DISTINCT = 0.5
"""Share of distinct answers in a cell below which n is not independent."""
MOST_SHARED = 0.5
"""Share of answers that another arm gave too, at the same seed, from which an arm is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """The answers of one cell; answered and truncated rows."""

    answers: int
    distinct: int
    model_ids: tuple[str, ...]
    """Model ids that the API returned, sorted."""
    shared: int = 0
    """Answers that another arm of the same model and scenario gave at the same seed."""
    shared_with: int | None = None
    """The cell of that arm that shares most; of several the one with the lowest number."""

    @property
    def independent(self) -> bool:
        """Whether the answers differ enough for n to mean something."""
        return self.answers < 2 or self.distinct >= LEAST_DISTINCT * self.answers

    @property
    def copied(self) -> bool:
        """Whether so many answers are those of another arm that the arm may have done nothing."""
        return self.answers > 0 and self.shared >= MOST_SHARED * self.answers


_JUDGED = "t.end_state in ('answered', 'truncated')"
_CELLS = f"""
select t.cell, count(*), count(distinct t.answer_digest), list_sort(list(distinct t.returned_model_id))
from read_parquet($shards) t {COUNTED}
where {_JUDGED} group by t.cell
"""  # noqa: S608  # constants
# Groups of equal answers are small where arms differ and few where they do not. Of arms that share as
# much the first is named, so that many equal ones all point to one.
_SHARED = f"""
with said as (
  select t.model, t.scenario, t.seed, t.answer_digest, list_sort(list(distinct t.cell)) cells
  from read_parquet($shards) t {COUNTED}
  where {_JUDGED} group by all having count(distinct t.cell) > 1),
one as (select unnest(cells) cell, cells, seed from said),
pairs as (select cell, unnest(cells[:16]) other, seed from one),
counted as (select cell, other, count(*) n from pairs where cell <> other group by all)
select p.cell, any_value(o.n), first(p.other order by p.n desc, p.other)
from counted p join (select cell, count(distinct seed) n from one group by cell) o
  on o.cell = p.cell
group by p.cell
"""  # noqa: S608  # constants


def textures(tables: Tables, seeds: Mapping[int, SeedSet]) -> dict[int, Texture]:
    """Return the texture of each cell that has answers.

    Args:
        tables: the sweep.
        seeds: cell number to the seeds that count.

    Raises:
        RecordError: a shard cannot be read.
    """
    shards = tables.files("transcripts")
    if not shards or not seeds:
        return {}
    parameters: dict[str, object] = {"shards": shards, **range_parameters(seeds)}
    shared = {
        cell: (n, other) for cell, n, other in tables.stream(_SHARED, parameters)
    }  # most sweeps have none
    out: dict[int, Texture] = {}
    for cell, answers, distinct, ids in tables.stream(_CELLS, parameters):
        n, other = shared.get(cell, (0, None))
        out[cell] = Texture(
            answers=answers, distinct=distinct, model_ids=tuple(ids), shared=n, shared_with=other
        )
    return out
