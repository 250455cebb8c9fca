"""Grades the shards of a sweep that have no verdicts yet. Offline: raw rows never change.

Incremental and repeatable: verdicts lie under the grader's digest and the shard's name, are written
whole, and are given again only where a cell's grading facts changed. Safe beside a running sweep,
since a published shard never changes, and beside another grading, since both write the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.core.errors import RecordError
from runner.core.identity import digest
from runner.core.seams import KeyMissingError, Store
from runner.core.values import EndState
from runner.grade.answers import messages_of, submission
from runner.grade.registry import grader_digest
from runner.grade.verdict import Grader, Record, Verdict, VerdictState
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

OnShard = Callable[[str, int, int], None]
"""Called with (grader, shards graded, shards to grade) after each."""

_PROBED_SEEDS = range(4)
"""Facts may depend on the seed; their digest is taken over these."""
_JUDGED = frozenset({EndState.ANSWERED, EndState.TRUNCATED})
_GRADED = _JUDGED | {EndState.BLOCKED}
"""What rules and functions grade. Of a blocked row only what took effect counts: all but its last
answer, which a safeguard withheld. So a block hides no harm done before it, and does none itself."""
SKIPPED = {
    EndState.REFUSED: "refused by the provider",
    EndState.EMPTY: "empty answer",
    EndState.BLOCKED: "withheld by a safeguard",
}
"""Recorded end states without anything to judge, and the reason that a verdict gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGrading:
    """How the rows of one cell are graded."""

    graders: tuple[str, ...]
    facts: Facts
    """The same object for cells of one condition: its facts do not depend on the model."""


Cells = Mapping[int, Facts | None]
"""Cell number to grading facts, None where the cell does not use the grader."""

Spread = Callable[[Grader, Sequence[str]], AsyncIterator[tuple[str, int]]]
"""Grades shards (by key) with a heavy grader somewhere else; yields (shard, rows) of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What one grader did."""

    card: GraderCard
    verdicts: tuple[str, ...]
    """Keys of all verdict files, old and new."""
    new_shards: int
    new_rows: int
    failed: int = 0
    """Of a judge: calls that are dead letters."""
    unpaid: bool = False
    """Of a judge: the budget did not pay for all its calls."""
    stopped: str = ""
    """Of a judge: why its model was stopped, and what to do; empty where it was not."""


def cells_using(name: str, gradings: Mapping[int, CellGrading]) -> dict[int, Facts | None]:
    """Return the facts of the cells that use a grader, None for the others."""
    return {n: g.facts if name in g.graders else None for n, g in gradings.items()}


async def grade_with(
    store: Store,
    rule: Grader,
    cells: Cells,
    shards: Sequence[str],
    *,
    on_shard: OnShard = lambda _name, _done, _total: None,
    spread: Spread | None = None,
) -> Graded:
    """Give one grader's verdicts on every row that has none, one shard in memory at a time.

    Args:
        store: the sweep directory.
        rule: a rule or a function.
        cells: every cell of the plan.
        shards: keys of all published shards, `transcripts/<name>.parquet`.
        on_shard: progress.
        spread: grades elsewhere; used for heavy graders.

    Raises:
        ConfigError: a grader whose source cannot be found.
        RecordError: a shard or a card cannot be read.
        StorageError: the directory refuses.
    """
    card = card_of(rule, cells)
    present = await clear_stale(store, card, shards)
    todo = [s for s in shards if verdict_key(card, s) not in present]
    await store.put(card_key(card), encode_card(card))  # the newest card is the present grader's
    rows = 0
    if spread is not None and rule.heavy:
        done = 0
        async for _, count in spread(rule, todo):
            rows, done = rows + count, done + 1
            on_shard(rule.name, done, len(todo))
    else:
        for done, shard in enumerate(todo, 1):
            graded = grade_shard(rule, cells, card, shard, await store.get(shard))
            await store.put(verdict_key(card, shard), graded[0])
            rows += graded[1]
            on_shard(rule.name, done, len(todo))
    verdicts = tuple(verdict_key(card, s) for s in shards)
    return Graded(card=card, verdicts=verdicts, new_shards=len(todo), new_rows=rows)


def grade_shard(
    rule: Grader, cells: Cells, card: GraderCard, shard: str, data: bytes
) -> tuple[bytes, int]:
    """Return the verdict file on a shard and the number of its rows.

    Raises:
        RecordError: the shard cannot be read.
    """
    graded = list(grade_rows(rule, cells, answer_rows(data, shard)))
    return encode_verdicts(card, graded), len(graded)


def card_of(rule: Grader, cells: Cells) -> GraderCard:
    """Return what a grader's folder says of it."""
    return GraderCard(
        grader=rule.name,
        kind=str(rule.kind),
        role=str(rule.role),
        version=rule.version,
        digest=grader_digest(rule),
        view=str(rule.view),
        gates=rule.gates,
        facts=facts_digests(cells),
    )


def facts_digests(cells: Cells) -> dict[int, str]:
    """Return the digest of each cell's grading facts, empty where it does not use the grader."""
    digests: dict[int, str] = {}  # models share the facts of a condition
    out: dict[int, str] = {}
    for number, found in cells.items():
        if id(found) not in digests:
            probed = [] if found is None else [found(seed) for seed in _PROBED_SEEDS]
            digests[id(found)] = digest(probed)[:16] if probed else ""
        out[number] = digests[id(found)]
    return out


async def clear_stale(store: Store, card: GraderCard, shards: Sequence[str]) -> set[str]:
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


def grade_rows(rule: Grader, cells: Cells, rows: Iterable[AnswerRow]) -> Iterator[VerdictRow]:
    """Yield the verdicts on the rows of cells that use the grader."""
    for row in rows:
        facts = cells.get(row.cell)
        if facts is not None:
            yield verdict_row(row, _verdict(rule, facts(row.seed), row))


def verdict_row(row: AnswerRow, verdict: Verdict) -> VerdictRow:
    """Return a verdict as a row: without a verdict no outcome, and never a score."""
    graded = verdict.state is VerdictState.GRADED
    return VerdictRow(
        job_key=row.job_key,
        cell=row.cell,
        seed=row.seed,
        state=str(verdict.state),
        reason="" if graded else verdict.reason or str(verdict.outcome) or str(verdict.state),
        outcome=str(verdict.outcome) if graded else "",
        harmful=verdict.harmful if graded else None,
        first_action=verdict.first_action,
        evidence=verdict.evidence,
        gates=verdict.gates,
        details=verdict.details,
    )


def nothing_to_judge(end_state: str) -> Verdict | None:
    """Return the verdict on a row whose end state leaves a judge nothing, None for the others."""
    if end_state in _JUDGED:
        return None
    reason = SKIPPED.get(EndState(end_state), end_state)
    return Verdict(state=VerdictState.SKIPPED, reason=reason)


def record_of(row: AnswerRow, facts: Mapping[str, object]) -> Record:
    """Return a row as graders see it.

    Raises:
        RecordError: its messages cannot be read.
    """
    where = f"record {row.job_key}"
    messages = messages_of(row.messages, where)
    cut = row.end_state == EndState.TRUNCATED
    withheld = row.end_state == EndState.BLOCKED
    try:
        axes: Mapping[str, object] = json.loads(row.axes)
    except ValueError as error:
        msg = f"{where}: its axes are no JSON ({error}). Check with runner verify."
        raise RecordError(msg) from error
    return Record(
        job_key=row.job_key,
        cell=row.cell,
        seed=row.seed,
        scenario=row.scenario,
        condition=row.condition,
        axes=axes,
        model=row.model,
        end_state=row.end_state,
        messages=messages,
        submission=submission(messages, cut=cut, where=where, withheld=withheld),
        facts=facts,
    )


def _verdict(rule: Grader, facts: Mapping[str, object], row: AnswerRow) -> Verdict:
    skipped = nothing_to_judge(row.end_state)
    if skipped is not None and row.end_state not in _GRADED:
        return skipped
    record = record_of(row, facts)
    try:
        return rule.grade(record)
    except Exception as error:  # noqa: BLE001  # hostile text broke a rule: said, never a score
        reason = f"{type(error).__name__}: {error}"[:300]
        return Verdict(state=VerdictState.JUDGE_ERROR, reason=reason)
