"""`runner review`: draws a sample of a sweep for people to label, and serves the page.

Draws are numbered files that never change. The first `runner review` makes draw 1; later ones, by
whomever, go on with the newest draw of the grader, until `--redraw` takes another (more records, rows
recorded meanwhile, a changed grader), in which labels that are there already count again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.config.schema import SweepConfig
from runner.core.errors import ConfigError, RecordError, SweepStateError
from runner.core.seams import Clock, KeyExistsError, Store
from runner.grade.blackmail_rule import Outcome as BlackmailOutcome
from runner.grade.functions import FunctionGrader
from runner.grade.judge import Judge
from runner.grade.registry import CodeRule
from runner.grade.rule_grader import RuleGrader
from runner.grade.run import Graded
from runner.grade.verdict import Grader, Role
from runner.pipeline.showing import cut_answer
from runner.pipeline.verdicts import Asked, Course, grade_course, open_course
from runner.record.labels import DRAWS, Choice, Draw, decode_draw, draw_key, encode_draw
from runner.record.place import Place
from runner.record.query import Tables, open_tables
from runner.report.lookup import record_row
from runner.review.allocation import allocate
from runner.review.desk import Desk
from runner.review.population import pick, stratum_sizes
from runner.review.sheet import sheet

ITEMS = 100
"""Records in a sample, where nothing else is asked for."""
SHARE_TWICE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for; None: as it is, or the default for a first draw."""

    grader: str | None = None
    items: int | None = None
    share_twice: float | None = None
    seed: int | None = None
    redraw: bool = False
    further: tuple[SweepConfig, ...] = ()
    """Files of graders beside the sweep's own configuration."""


async def read_draws(store: Store) -> list[Draw]:
    """Return all draws of a sweep, oldest first.

    Raises:
        RecordError: one is damaged.
        StorageError: the store cannot be read.
    """
    keys = [k for k in await store.list(DRAWS) if k.endswith(".parquet")]
    return [decode_draw(await store.get(key), key) for key in keys]


async def current_draw(store: Store, directory: Place, wish: Wish) -> tuple[Draw, bool]:
    """Return the draw to label, making it where there is none; and whether it is new.

    Raises:
        ConfigError: no such grader, or a wish that the present draw does not fulfil.
        SweepStateError: nothing is recorded yet.
        RecordError: something is damaged.
        StorageError: the directory refuses.
    """
    asked = Asked(names=(wish.grader,) if wish.grader else (), further=wish.further)
    course = await open_course(store, directory, asked)
    graded = _outcome(await grade_course(store, course), wish.grader, str(directory))
    draws = await read_draws(store)
    mine = [d for d in draws if d.grader == graded.card.grader]
    if mine and not wish.redraw:
        _check_same(mine[-1], wish)
        return mine[-1], False
    await directory.refresh()
    with open_tables(Path(directory)) as tables:
        draw = _drawn(course, graded, tables, wish, mine[-1] if mine else None)
    number = draws[-1].number if draws else 0
    while True:
        number += 1
        numbered = replace(draw, number=number)
        try:
            await store.create(draw_key(number), encode_draw(numbered))
        except KeyExistsError:
            continue  # somebody else drew at the same time
        return numbered, True


def _outcome(graded: Sequence[Graded], name: str | None, directory: str) -> Graded:
    found = [g for g in graded if g.card.role == Role.OUTCOME]
    if name is not None and not found:
        msg = (
            f"--grader {name}: it gives labels, not outcomes: no rate is made of it. Name another."
        )
        raise ConfigError(msg)
    if not found:
        msg = f"{directory}: no scenario lists a grader of outcomes. Name one: --grader NAME (docs/graders.md)."
        raise ConfigError(msg)
    return found[0]


def _check_same(draw: Draw, wish: Wish) -> None:
    for flag, wanted, there in (
        ("--items", wish.items, draw.asked),
        ("--seed", wish.seed, draw.seed),
        ("--twice", wish.share_twice, draw.share_twice),
    ):
        if wanted is not None and wanted != there:
            msg = (
                f"{flag} {wanted}: draw {draw.number} of {draw.grader} has {there}. Leave the flag out to go "
                "on with it, or add --redraw: labels given so far count in the new draw too."
            )
            raise ConfigError(msg)


def _drawn(course: Course, graded: Graded, tables: Tables, wish: Wish, before: Draw | None) -> Draw:
    name, directory = graded.card.grader, course.sweep.directory
    cells = [n for n, g in course.gradings.items() if name in g.graders]
    shards = tables.files("transcripts")
    there = [directory / key for key in graded.verdicts]
    verdicts = [str(path) for path in there if path.is_file()]
    items = wish.items if wish.items is not None else before.asked if before else ITEMS
    seed = wish.seed if wish.seed is not None else before.seed if before else 0
    share = (
        wish.share_twice
        if wish.share_twice is not None
        else before.share_twice
        if before
        else SHARE_TWICE
    )
    if items < 1:
        msg = f"--items {items}: give 1 or more."
        raise ConfigError(msg)
    sizes = stratum_sizes(tables, shards, verdicts, cells)
    if not sizes:
        msg = f"{directory}: nothing is recorded yet that could be labelled. See: runner status {directory}"
        raise SweepStateError(msg)
    picked = pick(
        tables, shards, verdicts, cells,
        sizes=sizes, take=allocate(sizes, items), seed=seed, share_twice=share,
    )  # fmt: skip
    return Draw(
        number=0,
        grader=name,
        digest=graded.card.digest,
        folder=graded.card.folder,
        seed=seed,
        asked=items,
        share_twice=share,
        shards=tuple(tables.keys("transcripts")),
        choices=_choices(course.graders.get(name), tables, verdicts),
        items=picked,
    )


_SEEN = """
select outcome, bool_or(coalesce(harmful, false)) from read_parquet($verdicts)
where outcome is not null group by outcome order by outcome
"""


def _choices(grader: Grader, tables: Tables, verdicts: Sequence[str]) -> tuple[Choice, ...]:
    """Return a grader's outcomes; those of a function as far as it says or has given them."""
    out: dict[str, Choice] = {}
    match grader:
        case RuleGrader() | Judge():
            for one in grader.config.outcomes:
                if not one.get("unparsable"):
                    out[str(one["outcome"])] = Choice(
                        outcome=str(one["outcome"]),
                        harmful=bool(one.get("harmful")),
                        means=str(one.get("means", "")),
                    )
            return tuple(out.values())
        case CodeRule():
            return tuple(
                Choice(outcome=str(o), harmful=o is BlackmailOutcome.BLACKMAIL)
                for o in BlackmailOutcome
            )
        case FunctionGrader():
            out = {o: Choice(outcome=o, harmful=True) for o in sorted(grader.harmful)}
        case _:
            pass
    if verdicts:
        for outcome, harmful in tables.run(_SEEN, {"verdicts": list(verdicts)}):
            out.setdefault(outcome, Choice(outcome=outcome, harmful=harmful))
    if not any(c.harmful for c in out.values()):
        out.setdefault("harmful", Choice(outcome="harmful", harmful=True))
    if all(c.harmful for c in out.values()):
        out.setdefault("not harmful", Choice(outcome="not harmful", harmful=False))
    return tuple(out.values())


def open_desk(store: Store, tables: Tables, draw: Draw, labeller: str, clock: Clock) -> Desk:
    """Return a session whose records come from the shards."""

    async def show(key: str) -> tuple[list[dict[str, object]], bool]:
        row = record_row(tables, key)
        if row is None:
            msg = f"record {key} of draw {draw.number} is gone. Draw again: --redraw."
            raise RecordError(msg)
        return sheet(str(row["messages"]), cut_answer)

    return Desk(store, draw, labeller, clock, show)
