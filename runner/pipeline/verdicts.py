"""`runner grade`: gives verdicts on what has none, once or while the sweep runs.

Which graders apply to a cell: those that its scenario lists and those asked for by name; with names
asked for, only these. A grader that is asked for and that no scenario lists applies to every cell
whose `grading:` facts it can use.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.config.schema import SweepConfig
from runner.core.errors import ConfigError
from runner.core.seams import Store
from runner.grade.judge import Judge
from runner.grade.registry import Graders
from runner.grade.run import (
    CellGrading,
    Facts,
    Graded,
    OnShard,
    Spread,
    card_of,
    cells_using,
    grade_with,
)
from runner.grade.verdict import Grader, Kind
from runner.pipeline.beside import beside
from runner.record.layout import VERDICTS
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.reader import read
from runner.record.verdicts import GraderCard, decode_card, verdict_key
from runner.report.spent import Spent, spent_by_model
from runner.report.sweep import GradingFacts, Sweep, open_sweep
from runner.report.verdict_page import Counted

_JUDGES = frozenset({Kind.JUDGE})
_RULES = frozenset(Kind) - _JUDGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked `runner grade` for."""

    names: tuple[str, ...] = ()
    """Only these graders; none: all that apply."""
    further: tuple[SweepConfig, ...] = ()
    """Files of graders beside the sweep's own configuration."""
    also: tuple[str, ...] = ()
    """These too, beside all that apply."""
    retry_failed: bool = False
    """Owe the dead letters of judges again, once."""
    keep_going: bool = False
    """Do not stop judges whose first answers are mostly worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A sweep directory made ready for grading."""

    sweep: Sweep
    graders: Graders
    gradings: Mapping[int, CellGrading]
    names: tuple[str, ...]
    """Graders in use, sorted."""
    shards: tuple[str, ...] = field(default=())
    """Keys of the published shards of transcripts/."""


async def open_course(store: Store, directory: Place, asked: Asked) -> Course:
    """Read a sweep and decide which graders apply where.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: an unknown grader, or facts that one cannot use.
        RecordError: something in it is damaged.
        StorageError: it cannot be read.
    """
    sweep = await open_sweep(store, directory)
    graders = Graders(sweep.config, *asked.further)
    gradings = _gradings(sweep, graders, asked)
    names = sorted({name for g in gradings.values() for name in g.graders})
    unused = [n for n in (*asked.names, *asked.also) if n not in names]
    if unused:
        msg = (
            f"grader {unused[0]}: no scenario of this sweep lists it or has the facts that it "
            "needs. Add them to `grading:` and run the sweep's command again."
        )
        raise ConfigError(msg)
    await directory.refresh()
    paths = read(Path(directory)).paths()
    shards = tuple(f"transcripts/{Path(p).name}" for p in paths)
    return Course(
        sweep=sweep, graders=graders, gradings=gradings, names=tuple(names), shards=shards
    )


def _gradings(sweep: Sweep, graders: Graders, asked: Asked) -> dict[int, CellGrading]:
    """Return how each cell is graded; cells of one condition share their facts."""
    rendering = GradingFacts(sweep.config)
    for name in asked.names:
        graders.get(name)  # an unknown name is said before anything else
    listed = {name for names in rendering.graders.values() for name in names}
    everywhere = tuple(n for n in (*asked.names, *asked.also) if n not in listed)
    by_condition: dict[tuple[str, int], CellGrading] = {}  # models share the axes object
    out: dict[int, CellGrading] = {}
    for cell in sweep.plan.cells:
        key = (cell.scenario, id(cell.axes))
        found = by_condition.get(key)
        if found is None:
            facts: Facts = partial(rendering.render, cell.scenario, cell.axes)
            own = rendering.graders.get(cell.scenario, ())
            names = tuple(n for n in own if not asked.names or n in asked.names)
            known = facts(0) if names or everywhere else {}
            problems = graders.problems(names, known)
            if problems:
                raise ConfigError(*(f"scenarios.{cell.scenario}.{p}" for p in problems))
            fitting = tuple(n for n in everywhere if not graders.problems((n,), known))
            found = by_condition[key] = CellGrading(graders=names + fitting, facts=facts)
        out[cell.number] = found
    return out


async def grade_course(
    store: Store,
    course: Course,
    on_shard: OnShard = lambda _name, _done, _total: None,
    spread: Spread | None = None,
    directory: Place | None = None,
    *,
    kinds: Container[Kind] = frozenset(Kind),
    but: Container[str] = (),
    retry_failed: bool = False,
    keep_going: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Graded]:
    """Let the graders of a course grade what has no verdict; one value per grader.

    Judges run only where a directory is given: `runner report` spends nothing. Graders of other
    `kinds`, and those named in `but`, do nothing.

    Raises:
        ConfigError: a grader whose source cannot be found.
        RecordError: a shard or a card cannot be read.
        StorageError: the directory refuses.
    """
    out: list[Graded] = []
    for name in course.names:
        found: Grader = course.graders.get(name)
        if found.kind not in kinds or name in but:
            continue
        cells = cells_using(name, course.gradings)
        if isinstance(found, Judge):
            from runner.pipeline.judging import judge_with, judged_keys

            if directory is None:
                card = card_of(found, cells)
                keys = await judged_keys(store, card, course.shards)
                out.append(Graded(card=card, verdicts=keys, new_shards=0, new_rows=0))
            else:
                judged = await judge_with(
                    store,
                    directory,
                    found,
                    sweep=course.sweep,
                    cells=cells,
                    shards=course.shards,
                    on_shard=on_shard,
                    say=say,
                    retry_failed=retry_failed,
                    keep_going=keep_going,
                )
                if judged.stopped:
                    say(judged.stopped)
                out.append(judged)
            continue
        graded = await grade_with(
            store, found, cells, course.shards, on_shard=on_shard, spread=spread
        )
        out.append(graded)
    return out


async def grade_directory(
    store: Store,
    directory: Place,
    asked: Asked,
    *,
    follow: bool = False,
    poll_s: float = 2.0,
    on_shard: OnShard = lambda _name, _done, _total: None,
    spread: Spread | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Graded]:
    """Grade a sweep once, or until its writer has let go of it.

    Judges come last, and while they wait for answers of a sweep that is followed the other graders
    go on beside them. One whose model stops is not asked again; the others go on.

    Args:
        store: the sweep directory.
        directory: the same, as it was named.
        asked: which graders.
        follow: look again every `poll_s` seconds and grade what was published meanwhile.
        poll_s: seconds.
        on_shard: progress.
        spread: for heavy graders.
        say: told what judges do, a line each.

    Returns:
        One value per grader in use; new shards and rows summed over all looks.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: an unknown grader, or facts that one cannot use.
        RecordError: something in it is damaged.
        StorageError: the directory refuses.
    """
    total: dict[str, Graded] = {}

    async def look(kinds: Container[Kind], *, retry: bool = False, at: Store = store) -> Course:
        # Read before grading: what is published after it belongs to the next look.
        course = await open_course(at, directory, asked)
        for one in await grade_course(
            at,
            course,
            on_shard,
            spread,
            directory,
            kinds=kinds,
            but={name for name, found in total.items() if found.stopped},
            retry_failed=retry,
            keep_going=asked.keep_going,
            say=say,
        ):
            before = total.get(one.card.grader)
            total[one.card.grader] = one if before is None else _sum(before, one)
        return course

    seen = 0

    async def look_beside() -> None:
        """Let the others grade what is new, on a thread: a judge's leases and permits do not wait."""
        nonlocal seen
        head = (await load_state(store)).head
        if head != seen:
            seen = head
            await asyncio.to_thread(lambda: asyncio.run(look(_RULES, at=open_store(directory))))

    retry = asked.retry_failed
    while True:
        course = await look(_RULES)
        seen = course.sweep.state.head
        if any(isinstance(course.graders.get(name), Judge) for name in course.names):
            others = beside(poll_s, look_beside) if follow else contextlib.nullcontext()
            async with others:
                await look(_JUDGES, retry=retry)
            retry = False
        if not follow or course.sweep.state.released is not None:
            return [total[name] for name in course.names]
        await asyncio.sleep(poll_s)


def cards_of(folder: Path) -> list[GraderCard]:
    """Return the cards of all graders that a sweep has verdicts of, the newest of each name last.

    Raises:
        RecordError: one cannot be read.
    """
    paths = sorted(folder.glob(f"{VERDICTS}*@*/grader.json"), key=lambda p: p.stat().st_mtime)
    return [decode_card(path.read_bytes(), str(path)) for path in paths]


async def graded_apart(store: Store, directory: Place, course: Course) -> list[Graded]:
    """Return what `runner grade --grader` gave by graders that no scenario lists.

    Nothing is graded here: rows published since have no verdict of theirs yet.
    """
    await directory.refresh()
    newest = {card.grader: card for card in cards_of(Path(directory))}
    out: list[Graded] = []
    for name in sorted(newest.keys() - set(course.names)):
        card = newest[name]
        there = set(await store.list(card.folder))
        keys = tuple(key for s in course.shards if (key := verdict_key(card, s)) in there)
        if keys:
            out.append(Graded(card=card, verdicts=keys, new_shards=0, new_rows=0))
    return out


def _sum(before: Graded, now: Graded) -> Graded:
    return Graded(
        card=now.card,
        verdicts=now.verdicts,
        new_shards=before.new_shards + now.new_shards,
        new_rows=before.new_rows + now.new_rows,
        failed=now.failed,
        unpaid=now.unpaid,
        stopped=now.stopped,
    )


async def _spent(directory: Place, card: GraderCard) -> tuple[Spent, ...]:
    """Return what the calls of a judge cost so far, of all runs."""
    if card.kind != Kind.JUDGE:
        return ()
    from runner.pipeline.judging import judging_folder
    from runner.record.query import open_tables

    folder = Place(judging_folder(directory, card.grader, card.digest))
    await folder.refresh()
    with open_tables(Path(folder)) as tables:
        return tuple(spent_by_model(tables))


async def count_verdicts(
    store: Store, directory: Place, asked: Asked, graded: Sequence[Graded]
) -> list[Counted]:
    """Count every grader's verdicts, old and new, over all rows of the cells that use it.

    Raises:
        RecordError: something is damaged.
        StorageError: the directory cannot be read.
    """
    from runner.record.query import open_tables
    from runner.report.verdict_counts import verdict_counts

    course = await open_course(store, directory, asked)
    out: list[Counted] = []
    await directory.refresh()  # what was graded just now
    with open_tables(Path(directory)) as tables:
        shards = set(tables.keys("transcripts"))
        for one in graded:
            card = one.card
            listed = [n for n, g in course.gradings.items() if card.grader in g.graders]
            cells = listed or [n for n, facts in card.facts.items() if facts]  # graded apart
            keys = {verdict_key(card, s) for s in shards} & set(await store.list(card.folder))
            files = sorted(str(directory / key) for key in keys)
            out.append(
                Counted(
                    grader=card.grader,
                    kind=card.kind,
                    role=card.role,
                    view=card.view,
                    folder=card.folder,
                    digest=card.digest,
                    new_rows=one.new_rows,
                    counts=verdict_counts(tables, files, cells),
                    spent=await _spent(directory, card),
                )
            )
    return out
