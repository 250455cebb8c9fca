"""`runner calibrate`: joins a draw, its labels and the verdict tables; spends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.core.errors import ConfigError, SweepStateError
from runner.core.seams import Store
from runner.grade.verdict import Role
from runner.pipeline.reviewing import read_draws
from runner.pipeline.verdicts import cards_of
from runner.record.labels import Draw
from runner.record.place import Place
from runner.record.query import Tables, open_tables
from runner.record.verdicts import GraderCard, verdict_key
from runner.report.analysis import families_of
from runner.report.counts import any_simulated
from runner.report.sweep import open_sweep
from runner.review.agenda import opinions
from runner.review.calibration import Calibration, calibration
from runner.review.desk import read_labels
from runner.review.verdict_counts import JudgeFiles, count_population
from runner.statistics.binomial import LEVEL


async def calibrate(
    store: Store, directory: Place, *, grader: str | None = None, level: float = LEVEL
) -> Calibration:
    """Return what the newest draw's labels say.

    Args:
        store: the sweep directory.
        directory: the same, as it was named.
        grader: whose newest draw; None: the newest of all.
        level: coverage of the intervals.

    Raises:
        SweepStateError: no sweep there, or nothing was drawn.
        ConfigError: no draw of that grader.
        RecordError: something is damaged, or the draw's shards are gone.
        StorageError: the directory cannot be read.
    """
    found = await newest_calibration(store, directory, grader=grader, level=level)
    if found is not None:
        return found
    if grader is not None:
        msg = f"--grader {grader}: no sample was drawn by its verdicts. Draw one: runner review {directory} --grader {grader}"
        raise ConfigError(msg)
    msg = f"{directory}: no sample was drawn yet: judge uncalibrated here. Draw one: runner review {directory}"
    raise SweepStateError(msg)


async def newest_calibration(
    store: Store, directory: Place, *, grader: str | None = None, level: float = LEVEL
) -> Calibration | None:
    """Return the same, None where nothing was drawn.

    Raises:
        SweepStateError: no sweep there.
        RecordError: as `calibrate`.
        StorageError: as `calibrate`.
    """
    sweep = await open_sweep(store, directory)
    draws = [d for d in await read_draws(store) if grader in {None, d.grader}]
    if not draws:
        return None
    draw = draws[-1]
    known = opinions(await read_labels(store), draw.grader)
    await directory.refresh()
    cards = outcome_cards(Path(directory))
    with open_tables(Path(directory)) as tables:
        published = set(tables.keys("transcripts"))
        gone = [key for key in draw.shards if key not in published]
        if gone:
            msg = (
                f"{directory}: {gone[0]}, which draw {draw.number} was drawn from, is not published any more. "
                f"Draw again: runner review {directory} --redraw"
            )
            raise SweepStateError(msg)
        population = count_population(
            tables,
            draw,
            _judges(tables, draw, cards),
            shards=[str(directory / key) for key in draw.shards],
            newer=[str(directory / key) for key in sorted(published - set(draw.shards))],
            cells=_cells(draw, cards),
        )
        simulated = any_simulated(tables)
    found = calibration(draw, known, population, level, families=families_of(sweep.config))
    return replace(found, simulated=simulated)


def outcome_cards(folder: Path) -> list[GraderCard]:
    """Return the cards of all graders of outcomes, the newest of each name last."""
    return [card for card in cards_of(folder) if card.role == Role.OUTCOME]


def _reviewed(draw: Draw, cards: Sequence[GraderCard]) -> GraderCard:
    for card in cards:
        if card.digest == draw.digest:
            return card
    msg = (
        f"{draw.folder}: the verdicts that draw {draw.number} was drawn by are gone. Grade again (runner "
        "grade), or draw again (runner review --redraw)."
    )
    raise SweepStateError(msg)


def _cells(draw: Draw, cards: Sequence[GraderCard]) -> list[int]:
    return [cell for cell, facts in _reviewed(draw, cards).facts.items() if facts]


def _judges(tables: Tables, draw: Draw, cards: Sequence[GraderCard]) -> list[JudgeFiles]:
    reviewed = _reviewed(draw, cards)
    newest = {card.grader: card for card in cards}
    if newest.get(draw.grader, reviewed).digest == draw.digest:
        newest.pop(draw.grader, None)

    def name(card: GraderCard) -> str:
        """Return the name; of two versions of the reviewed grader with the digest of each."""
        both = card.grader == draw.grader and draw.grader in newest
        return f"{card.grader}@{card.digest[:6]}" if both else card.grader

    return [
        JudgeFiles(
            grader=name(card),
            kind=card.kind,
            files=tuple(
                str(path)
                for shard in draw.shards
                if (path := tables.directory / verdict_key(card, shard)).is_file()
            ),
        )
        for card in (reviewed, *(newest[name] for name in sorted(newest)))
    ]
