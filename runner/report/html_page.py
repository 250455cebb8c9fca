"""A report as one page that opens offline: no script, nothing fetched, all text escaped.

Jinja2 escapes every value (autoescape for all templates), model text passes `observe.terminal.clean`
first (control codes, bidirectional overrides), and the page forbids scripts, frames, forms and any
request by its own content security policy. Long transcripts are cut.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import groupby, islice

from jinja2 import Environment, StrictUndefined

from runner.observe.amounts import count
from runner.observe.budget import BudgetProgress
from runner.observe.outcome import sum_line
from runner.observe.terminal import clean, one_line
from runner.report.analysis_tables import analysis_grids
from runner.report.contents import Report
from runner.report.figures import Figure
from runner.report.grid import Behind, Grid
from runner.report.samples import Sample
from runner.report.screen import Line, Style
from runner.report.sentences import warnings
from runner.report.spent import Spent
from runner.report.tables import (
    SIMULATED,
    headlines,
    opening,
    outcome_grid,
    rate_grid,
    spent_grid,
    state_grid,
)
from runner.report.transcript import Cut, record_lines

_KEY = 12
_COMMA = re.compile(r",(?=\S)")
_WHOLE = re.compile(r"(?<!Holm) (?![\[\u2026]|of )")
"""Spaces of a value at which it does not break: all but those before an interval, `…` and `of`, and after `Holm`."""
_MOST_COLUMNS = 11
_LINKS = 3
"""Transcripts that a row leads to."""
_MOST_LED = 2_000
"""Rows of a table that lead to transcripts, where another table leads there, too."""
_MOST_CHARACTERS = 60_000
"""Of one transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What a page says of the sweep beside its numbers."""

    configuration: str
    """The text of sweep.yaml; it holds no secrets."""
    versions: Sequence[tuple[str, str]]
    samples: Sequence[Sample]
    figures: Mapping[int, Sequence[Figure]]
    """By position of the report."""
    graders: Sequence[Grid] = ()
    """What each grader says, every verdict state counted, and how good it is where that is known."""
    calibration_note: str = ""
    budget: BudgetProgress = field(default_factory=BudgetProgress)


@dataclass(slots=True, kw_only=True)
class _Part:
    anchor: str
    title: str
    sentences: Sequence[str] = ()
    warnings: Sequence[str] = ()
    paragraphs: Sequence[str] = ()
    figures: Sequence[Mapping[str, str]] = ()
    grids: list[Mapping[str, object]] = field(default_factory=list[Mapping[str, object]])


def html_page(reports: Sequence[Report], spent: Sequence[Spent], facts: PageFacts, cut: Cut) -> str:
    """Return the page.

    Args:
        reports: one per grader, at least one.
        spent: by model.
        facts: what else the page holds.
        cut: takes an answer apart, to mark actions.
    """
    first = reports[0]
    parts = [part for i, report in enumerate(reports) for part in _parts(i, reports, report, facts)]
    parts += [_cost(spent, facts.budget), _calibration(facts), _simulated(first)]
    source = resources.files("runner.report").joinpath("templates/page.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sections = [(p.anchor, p.title) for p in parts]
    sections += [("transcripts", "Transcripts"), ("configuration", "Configuration")]
    return environment.from_string(source).render(
        title=f"{one_line(first.sweep, 80)}: report",
        banners=_banners(first),
        sum_line=sum_line(first.whole.planned, first.whole.states),
        sections=sections,
        parts=parts,
        transcripts=[_transcript(s, reports, cut) for s in facts.samples],
        transcripts_note=_transcripts_note(first, facts),
        versions=facts.versions,
        configuration=clean(facts.configuration),
    )


def _banners(report: Report) -> list[dict[str, object]]:
    return [
        {"text": text, "interim": text.startswith("INTERIM")}
        for text in opening(report)
        if text == SIMULATED or text.startswith("INTERIM")
    ]


def _parts(
    position: int, reports: Sequence[Report], report: Report, facts: PageFacts
) -> list[_Part]:
    suffix = f"-{position + 1}" if position else ""
    by = f" by {report.grader}" if len(reports) > 1 else ""
    figures = [_drawn(f, suffix) for f in facts.figures.get(position, ())]
    of = _picker(figures)
    head = _Part(
        anchor=f"headline{suffix}", title=f"Headline{by}",
        sentences=headlines(report), warnings=warnings(report),
    )  # fmt: skip
    states = _Part(anchor=f"states{suffix}", title=f"End states{by}", figures=of("end-states"))
    mine = _of_grader(facts.samples, report)
    states.grids = [
        _table(g, suffix, report, mine) for g in (state_grid(report), outcome_grid(report)) if g
    ]
    rates = _Part(anchor=f"rates{suffix}", title=f"Rates{by}", figures=of("rates"))
    grid = rate_grid(report)
    if grid is not None:
        rates.grids = [_table(grid, suffix, report, mine)]
    out = [head, rates, states]
    if report.analysis is not None:
        more = _Part(
            anchor=f"analysis{suffix}", title=f"Contrasts, effects and groups{by}",
            figures=of("contrasts", "axis-effects", "stories", "generations"),
        )  # fmt: skip
        more.grids = [
            _table(g, suffix, report, mine) for g in analysis_grids(report.analysis, report.level)
        ]
        out.append(more)
    return out


def _of_grader(samples: Sequence[Sample], report: Report) -> list[Sample]:
    """Return the samples, those that this report's grader calls harmful first."""
    return sorted(samples, key=lambda s: report.grader not in s.harmful_by)


def _picker(
    figures: Sequence[Mapping[str, str]],
) -> Callable[..., list[Mapping[str, str]]]:
    def of(*starts: str) -> list[Mapping[str, str]]:
        return [f for f in figures if f["name"].startswith(starts)]

    return of


def _drawn(figure: Figure, suffix: str) -> dict[str, str]:
    data = base64.b64encode(figure.svg.encode()).decode()
    return {
        "name": figure.name + suffix,
        "title": figure.title,
        "alternative": figure.alternative,
        "source": f"data:image/svg+xml;base64,{data}",
    }


def _table(
    grid: Grid, suffix: str, report: Report | None = None, samples: Sequence[Sample] = ()
) -> dict[str, object]:
    """Return a table; with a report also the way from each row to transcripts that it counts."""
    word = "".join(c if c.isalnum() else "-" for c in grid.title.split(" (")[0].lower())
    rows: list[dict[str, object]] = [
        {"cells": _cells(row, grid.left, tight=_tight(grid)), "hot": False} for row in grid.rows
    ]
    # Ten thousand rows would carry the same links three times over: only rates keep theirs there.
    linked = bool(grid.behind) and (len(grid.rows) <= _MOST_LED or bool(grid.behind[0].show))
    linked = linked and report is not None
    if report is not None and linked:
        rows = [
            row | _led(behind, report, samples)
            for row, behind in zip(rows, grid.behind, strict=True)
        ]
    return {
        "anchor": f"table-{word}{suffix}",
        "title": grid.title,
        "columns": (*grid.columns, "transcripts") if linked else grid.columns,
        "rows": rows,
        "left": grid.left,
        "notes": grid.notes,
        "linked": linked,
        "tight": _tight(grid),
    }


def _tight(grid: Grid) -> bool:
    """Return whether a table is so wide that its values break, too: an interval below its value."""
    return len(grid.columns) > _MOST_COLUMNS


def _led(behind: Behind, report: Report, samples: Sequence[Sample]) -> dict[str, object]:
    found = islice((s for s in samples if s.cell in behind.cells), _LINKS)
    return {
        "hot": behind.hot,
        "samples": [{"id": s.key[:_KEY], "harmful": report.grader in s.harmful_by} for s in found],
        "commands": [
            shlex.join(one_line(w, 400) for w in ("runner", "show", report.directory, *words))
            for words in behind.show
        ],
    }


def _cells(row: Sequence[str], left: int, *, tight: bool) -> list[str]:
    """Return cleaned cells; names of conditions break after their commas."""
    cells = [one_line(c, 400) for c in row]
    return [
        _COMMA.sub(", ", c) if i < left else _WHOLE.sub("\u00a0", c) if tight else c
        for i, c in enumerate(cells)
    ]


def _transcripts_note(report: Report, facts: PageFacts) -> str:
    harmful = sum(s.harmful for s in facts.samples)
    return (
        f"{count(len(facts.samples))} of {count(report.whole.planned)}, {count(harmful)} of them "
        "harmful: those first, then by cell. Every other is one command away: runner show "
        f"{shlex.quote(report.directory)}. Long prompts are folded, texts beyond 20,000 characters cut."
    )


def _transcript(sample: Sample, reports: Sequence[Report], cut: Cut) -> dict[str, object]:
    # Axes that are the same in all conditions of a scenario would push the others out of the title.
    labels = {r.cell: r.label for r in reports[0].rows}
    row = dict(sample.row)
    row["condition"] = labels.get(sample.cell) or row["condition"]
    lines = record_lines(row, sample.verdicts, (), cut, full=False)
    title, *rest = lines
    # The heading of the attempts, which a page does not carry.
    rest = [line for line in rest if not line.text.startswith("── 0 attempts")]
    return {
        "id": sample.key[:_KEY],
        "harmful": sample.harmful,
        "badge": _badge(sample, reports),
        "title": one_line(title.text, 300),
        "lines": _blocks(rest),
        "command": shlex.join(
            ["runner", "show", reports[0].directory, sample.key[:_KEY], "--full"]
        ),
    }


def _badge(sample: Sample, reports: Sequence[Report]) -> str:
    """Return `harmful`, with the graders that say so where they are not all."""
    if not sample.harmful_by:
        return ""
    names = {r.grader for r in reports if r.grader}
    by = "" if names <= sample.harmful_by else f" by {', '.join(sorted(sample.harmful_by))}"
    return f"harmful{by}"


def _blocks(lines: Iterable[Line]) -> list[dict[str, str]]:
    """Return lines of one style together, cut where a transcript grows too long."""
    out: list[dict[str, str]] = []
    used = 0
    for style, members in groupby(lines, key=lambda line: line.style):
        text = "\n".join(clean(line.text) for line in members)
        used += len(text)
        if used > _MOST_CHARACTERS:
            out.append({"style": Style.FAINT, "text": "… cut; the command below shows the whole"})
            break
        out.append({"style": str(style), "text": text})
    return out


def _cost(spent: Sequence[Spent], budget: BudgetProgress) -> _Part:
    part = _Part(anchor="cost", title="Cost, time, tokens, 429s and retries")
    grid = spent_grid(spent)
    if grid is None:
        part.paragraphs = ("No request has been recorded.",)
        return part
    part.grids = [_table(grid, "")]
    began = min((s.started_at for s in spent if s.started_at), default="")
    ended = max((s.ended_at for s in spent if s.ended_at), default="")
    said = f"First request {began[:19]}Z, last {ended[:19]}Z. " if began else ""
    part.paragraphs = (
        (
            f"{said}Every attempt that was ever recorded, of dead letters too; a cost that is not known "
            "is said and never counted as 0."
        ),
        *([f"Budget: {' · '.join(budget.words())}."] if budget.limited else ()),
    )
    return part


def _calibration(facts: PageFacts) -> _Part:
    part = _Part(anchor="calibration", title="Calibration of graders")
    part.grids = [_table(g, "") for g in facts.graders]
    if facts.calibration_note:
        part.paragraphs = (facts.calibration_note,)
    return part


def _simulated(report: Report) -> _Part:
    part = _Part(anchor="simulated", title="What was simulated")
    by_model: dict[str, tuple[int, int]] = {}
    for row in report.rows:
        simulated, ended = by_model.get(row.model, (0, 0))
        done = sum(row.counts.states.values())
        by_model[row.model] = (simulated + row.counts.simulated, ended + done)
    said = [
        f"{one_line(model, 60)}: {count(simulated)} of {count(ended)} counted rows"
        for model, (simulated, ended) in by_model.items()
        if simulated
    ]
    tools = (
        "People, companies and tools of the scenarios are fictional: nothing that a model asked for "
        "was carried out."
    )
    answers = (
        f"Answered by a simulator, not a model: {'; '.join(said)}."
        if said
        else "No counted row was answered by a simulator."
    )
    part.paragraphs = (answers, tools)
    return part
