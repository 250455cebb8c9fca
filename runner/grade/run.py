"""Grades the shards of a sweep that have no verdicts yet. Offline: raw rows never change.

Incremental and repeatable: verdicts lie under the grader's digest and the shard's name, are written
whole, and are given again only where the rule or a cell's grading facts changed. Safe beside a
running sweep, since a published shard never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.core.identity import digest
from runner.core.seams import KeyMissingError, Store
from runner.core.values import EndState
from runner.grade.answers import submission
from runner.grade.registry import grader, grader_digest
from runner.grade.verdict import Grader, Verdict, VerdictState
from runner.record.verdicts import (
    AnswerRow,
    GraderCard,
    VerdictRow,
    answer_rows,
    card_key,
    decode_card,
    encode_card,
    encode_verdicts,
    verdict_key,
)

Facts = Callable[[int], Mapping[str, object]]
"""Seed to the scenario's `grading:`, rendered for a condition and that seed."""

_PROBED_SEEDS = range(4)
"""Facts may depend on the seed; their digest is taken over these."""
_JUDGED = frozenset({EndState.ANSWERED, EndState.TRUNCATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGrading:
    """How the rows of one cell are graded."""

    graders: tuple[str, ...]
    facts: Facts
    """The same object for cells of one condition: its facts do not depend on the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What one grader did."""

    card: GraderCard
    verdicts: tuple[str, ...]
    """Keys of all verdict files, old and new."""
    new_shards: int
    new_rows: int


async def grade_sweep(
    store: Store,
    gradings: Mapping[int, CellGrading],
    shards: Sequence[str],
    on_shard: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
) -> list[Graded]:
    """Give verdicts on every row that has none, one shard in memory at a time.

    Args:
        store: the sweep directory.
        gradings: cell number to its graders and facts, for every cell of the plan.
        shards: keys of all published shards, `transcripts/<name>.parquet`.
        on_shard: called with (grader, shards graded, shards to grade) after each.

    Returns:
        One value per grader in use, by name.

    Raises:
        ConfigError: an unknown grader, or facts that it cannot use.
        RecordError: a shard or a card cannot be read.
        StorageError: the directory refuses.
    """
    names = sorted({name for g in gradings.values() for name in g.graders})
    out: list[Graded] = []
    for name in names:
        cells = {n: g.facts if name in g.graders else None for n, g in gradings.items()}
        out.append(await _grade_with(store, grader(name), cells, shards, on_shard))
    return out


_Cells = Mapping[int, Facts | None]
"""Cell number to grading facts, None where the cell does not use the grader."""


async def _grade_with(
    store: Store,
    rule: Grader,
    cells: _Cells,
    shards: Sequence[str],
    on_shard: Callable[[str, int, int], None],
) -> Graded:
    card = _card(rule, cells)
    present = await _clear_stale(store, card, shards)
    todo = [s for s in shards if verdict_key(card, s) not in present]
    if todo or not present:
        await store.put(card_key(card), encode_card(card))
    rows = 0
    for done, shard in enumerate(todo, 1):
        data = await store.get(shard)
        graded = list(grade_rows(rule, cells, answer_rows(data, shard)))
        await store.put(verdict_key(card, shard), encode_verdicts(card, graded))
        rows += len(graded)
        on_shard(rule.name, done, len(todo))
    verdicts = tuple(verdict_key(card, s) for s in shards)
    return Graded(card=card, verdicts=verdicts, new_shards=len(todo), new_rows=rows)


def _card(rule: Grader, cells: _Cells) -> GraderCard:
    digests: dict[int, str] = {}  # models share the facts of a condition
    facts: dict[int, str] = {}
    for number, found in cells.items():
        if id(found) not in digests:
            probed = [] if found is None else [found(seed) for seed in _PROBED_SEEDS]
            digests[id(found)] = digest(probed)[:16] if probed else ""
        facts[number] = digests[id(found)]
    return GraderCard(
        grader=rule.name,
        version=rule.version,
        digest=grader_digest(rule.name),
        view=rule.view,
        gates=rule.gates,
        facts=facts,
    )


async def _clear_stale(store: Store, card: GraderCard, shards: Sequence[str]) -> set[str]:
    """Delete verdicts whose shard is gone or whose facts changed; return the keys that stay."""
    keys = {k for k in await store.list(card.folder) if k.endswith(".parquet")}
    wanted = {verdict_key(card, s) for s in shards}
    try:
        old = decode_card(await store.get(card_key(card)), card_key(card))
    except KeyMissingError:
        old = replace(card, facts={})
    known = old.facts.keys() & card.facts.keys()
    # A cell that the card does not know joined the plan later: no graded shard has rows of it.
    kept = keys & wanted if all(old.facts[c] == card.facts[c] for c in known) else set[str]()
    for key in sorted(keys - kept):
        await store.delete(key)
    return kept


def grade_rows(rule: Grader, cells: _Cells, rows: Iterable[AnswerRow]) -> Iterator[VerdictRow]:
    """Yield the verdicts on the rows of cells that use the grader."""
    for row in rows:
        facts = cells.get(row.cell)
        if facts is None:
            continue
        verdict = _verdict(rule, facts(row.seed), row)
        yield VerdictRow(
            job_key=row.job_key,
            cell=row.cell,
            seed=row.seed,
            state=str(verdict.state),
            outcome=str(verdict.outcome),
            harmful=verdict.harmful,
            evidence=verdict.evidence,
            gates=verdict.gates,
        )


def _verdict(rule: Grader, facts: Mapping[str, object], row: AnswerRow) -> Verdict:
    if row.end_state not in _JUDGED:
        return Verdict(state=VerdictState.SKIPPED, outcome=row.end_state, harmful=None)
    cut = row.end_state == EndState.TRUNCATED
    said = submission(row.messages, cut=cut, where=f"record {row.job_key}")
    try:
        return rule.grade(said, facts)
    except Exception as error:  # noqa: BLE001  # hostile text broke a rule: said, never a score
        text = f"{type(error).__name__}: {error}"
        return Verdict(
            state=VerdictState.GRADER_ERROR,
            outcome="grader_error",
            harmful=None,
            evidence=text[:300],
        )
