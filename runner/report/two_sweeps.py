"""Two sweeps side by side, cell by cell. Pure.

Cells belong together where scenario, condition and model have the same names; a cell whose prompt
differs between the two is told apart from one that was merely sampled again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.observe.amounts import count
from runner.observe.terminal import one_line
from runner.report.contents import Report
from runner.report.contrasts import differing_parameters
from runner.report.grid import Grid
from runner.report.rows import ReportRow
from runner.report.screen import Line, Style
from runner.report.sentences import (
    p_text,
    points,
    points_text,
    rate_text,
    top_up_mark,
    top_up_sentence,
)
from runner.report.spread import NOTE, spread_text, spread_values
from runner.report.tables import SIMULATED
from runner.statistics.binomial import LEVEL
from runner.statistics.significance import Test, cochran_mantel_haenszel
from runner.statistics.strata import Difference, Stratum, risk_difference

Parameters = Mapping[str, Mapping[str, str]]
"""Model to its request parameters as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cell of both sweeps."""

    first: ReportRow
    second: ReportRow
    same_requests: bool
    """Equal cell digests: the same requests; the difference is chance, or the endpoint's."""
    same_prompt: bool
    difference: Difference | None
    """Second minus first; None where either has no answer that counts, or n is not independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPair:
    """All cells of one model that both sweeps have."""

    model: str
    cells: int
    """With the same prompt in both: those that are compared."""
    other_prompts: int
    """Cells of both whose prompts differ: side by side in the table of cells, in no sum."""
    difference: Difference | None
    test: Test | None
    parameters: tuple[str, ...] = ()
    """In which request parameters it differs between the two sweeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSweeps:
    """A comparison under one grader."""

    first: Report
    second: Report
    pairs: tuple[Pair, ...]
    models: tuple[ModelPair, ...]
    only_first: int
    """Cells of the first sweep that the second lacks."""
    only_second: int
    level: float


def compare_sweeps(
    first: Report,
    second: Report,
    renamed: Mapping[str, str],
    level: float = LEVEL,
    *,
    parameters: tuple[Parameters, Parameters] = ({}, {}),
    renamed_alone: bool = False,
) -> TwoSweeps:
    """Pair the cells of two reports.

    Args:
        first: the earlier one.
        second: the later one, by the same grader.
        renamed: model name in the first to that in the second, where they differ.
        level: coverage.
        parameters: of each sweep, model to what it sends, as text.
        renamed_alone: leave out models that are not renamed: the two are one sweep, and these its own.
    """
    others = {(r.scenario, r.condition, r.model): r for r in second.rows}
    pairs: list[Pair] = []
    for row in first.rows:
        if renamed_alone and row.model not in renamed:
            continue
        key = (row.scenario, row.condition, renamed.get(row.model, row.model))
        if key in others:
            pairs.append(_pair(row, others[key], level))
    models = list(dict.fromkeys(p.first.model for p in pairs))
    return TwoSweeps(
        first=first,
        second=second,
        pairs=tuple(pairs),
        models=tuple(
            _model(m, pairs, level, _differing(m, renamed.get(m, m), parameters)) for m in models
        ),
        only_first=len(first.rows) - len(pairs),
        only_second=len(second.rows) - len(pairs),
        level=level,
    )


def _differing(
    model: str, other: str, parameters: tuple[Parameters, Parameters]
) -> tuple[str, ...]:
    a, b = parameters[0].get(model), parameters[1].get(other)
    if a is None or b is None:
        return ()
    named = {f"A's {model}": a, f"B's {other}": b}
    return tuple(differing_parameters(named, *named))


def _stratum(pair: tuple[ReportRow, ReportRow]) -> Stratum | None:
    first, second = pair[0].headline, pair[1].headline
    if first is None or second is None or not all(r.independent for r in pair):
        return None
    return Stratum(
        events=second.rate.events,
        n=second.rate.n,
        other_events=first.rate.events,
        other_n=first.rate.n,
    )


def _pair(first: ReportRow, second: ReportRow, level: float) -> Pair:
    stratum = _stratum((first, second))
    return Pair(
        first=first,
        second=second,
        same_requests=first.digest == second.digest,
        same_prompt=first.prompt == second.prompt,
        difference=risk_difference([stratum], level) if stratum else None,
    )


def _model(model: str, pairs: list[Pair], level: float, parameters: tuple[str, ...]) -> ModelPair:
    every = [p for p in pairs if p.first.model == model]
    of_model = [p for p in every if p.same_prompt]
    strata = [s for p in of_model if (s := _stratum((p.first, p.second)))]
    return ModelPair(
        model=model,
        cells=len(of_model),
        other_prompts=len(every) - len(of_model),
        parameters=parameters,
        difference=risk_difference(strata, level),
        test=cochran_mantel_haenszel(strata),
    )


def comparison_page(found: TwoSweeps, most: int) -> list[Line | Grid]:
    """Return warnings and tables; at most so many cells, the largest differences first."""
    out: list[Line | Grid] = []
    for report, name in ((found.first, "A"), (found.second, "B")):
        if report.simulated:
            out.append(Line(f"{name} {SIMULATED}", Style.WARNING))
        if report.interim:
            text = f"INTERIM: {name} has jobs that did not run yet; complete seed blocks only."
            out.append(Line(text, Style.WARNING))
        out.append(Line(f"{name}: {one_line(report.directory, 200)}", Style.HEAD))
    by = f"By {found.first.grader}, which judges {found.first.view}:"
    out.append(Line(by, Style.HEAD))
    digests = {r.grader_digest for r in (found.first, found.second)}
    if len(digests) > 1:
        out.append(Line("The two were judged by different versions of the grader.", Style.WARNING))
    out += [grid for grid in (_model_grid(found), _cell_grid(found, most)) if grid]
    if found.only_first or found.only_second:
        text = (
            f"Cells of A alone: {count(found.only_first)}; of B alone: {count(found.only_second)}."
        )
        out.append(Line(text, Style.FAINT))
    return out


def _model_grid(found: TwoSweeps) -> Grid | None:
    if not found.models:
        return None
    other = any(m.other_prompts for m in found.models)
    rows = [
        (
            m.model,
            count(m.cells),
            count(m.other_prompts),
            "–"
            if m.difference is None
            else f"{points(m.difference.value)} {points_text(m.difference.interval)}",
            "–" if m.test is None else p_text(m.test),
        )
        for m in found.models
    ]
    return Grid(
        title="By model, over the cells with the same prompt in both (exploratory, not corrected)",
        columns=("model", "cells", "other prompts", f"B − A, points [{found.level:.0%}]", "p"),
        rows=tuple(rows),
        notes=(
            (
                "stratified by prompt: score interval (Miettinen-Nurminen); "
                "Cochran-Mantel-Haenszel, exact where events are few"
            ),
            *(["other prompts: cells whose prompt differs, in no sum"] if other else []),
            *(one_line(phrase, 400) for m in found.models for phrase in m.parameters),
        ),
    )


def _cell_grid(found: TwoSweeps, most: int) -> Grid | None:
    if not found.pairs:
        return None
    ordered = sorted(found.pairs, key=lambda p: -abs(p.difference.value) if p.difference else 1.0)
    rows = [_cell(p, _grown(found.first), _grown(found.second)) for p in ordered[:most]]
    notes = ["requests: same, or what differs: the prompt, or only parameters and endpoint", NOTE]
    notes += [
        f"{name}: {top_up_sentence(t)}"
        for name, report in (("A", found.first), ("B", found.second))
        for t in (report.analysis.top_ups if report.analysis else ())
    ]
    if len(rows) < len(ordered):
        notes.append(f"{count(len(ordered) - len(rows))} more cells: --json")
    return Grid(
        title="By cell, the largest differences first",
        columns=(
            *(
                "scenario",
                "condition",
                "model",
                "requests",
                "A",
                "stories of A",
                "B",
                "stories of B",
            ),
            "B − A, points",
        ),
        rows=tuple(rows),
        left=4,
        notes=tuple(notes),
    )


def _grown(report: Report) -> frozenset[int]:
    """Return the cells with seeds that were added after a look."""
    added = report.analysis.top_ups if report.analysis else ()
    return frozenset(cell for top_up in added for cell in top_up.cells)


def _said(row: ReportRow, grown: frozenset[int]) -> str:
    if row.headline is None:
        return "–"
    rate = rate_text(row.headline.rate, independent=row.independent)
    return rate + top_up_mark(row.cell in grown)


def _cell(pair: Pair, first_grown: frozenset[int], second_grown: frozenset[int]) -> tuple[str, ...]:
    d = pair.difference
    requests = "same" if pair.same_requests else "parameters" if pair.same_prompt else "prompt"
    return (
        pair.first.scenario,
        pair.first.label or "–",
        pair.first.model,
        requests,
        _said(pair.first, first_grown),
        spread_text(pair.first.spread),
        _said(pair.second, second_grown),
        spread_text(pair.second.spread),
        "–" if d is None else f"{points(d.value)} {points_text(d.interval)}",
    )


def comparison_values(found: TwoSweeps) -> dict[str, object]:
    """Return the comparison as JSON values."""
    return {
        "grader": found.first.grader,
        "a": found.first.directory,
        "b": found.second.directory,
        "grader_digests": [found.first.grader_digest, found.second.grader_digest],
        "simulated": found.first.simulated or found.second.simulated,
        "interim": found.first.interim or found.second.interim,
        "models": [
            {
                "model": m.model,
                "cells": m.cells,
                "other_prompts": m.other_prompts,
                "request_parameters_differ": list(m.parameters),
                "difference": m.difference.value if m.difference else None,
                "low": m.difference.interval.low if m.difference else None,
                "high": m.difference.interval.high if m.difference else None,
                "p": m.test.p if m.test else None,
            }
            for m in found.models
        ],
        "cells": [
            {
                "scenario": p.first.scenario,
                "condition": p.first.condition,
                "model": p.first.model,
                "same_requests": p.same_requests,
                "same_prompt": p.same_prompt,
                "a": _rate(p.first),
                "b": _rate(p.second),
                "difference": p.difference.value if p.difference else None,
                "low": p.difference.interval.low if p.difference else None,
                "high": p.difference.interval.high if p.difference else None,
            }
            for p in found.pairs
        ],
        "only_a": found.only_first,
        "only_b": found.only_second,
    }


def _rate(row: ReportRow) -> dict[str, object] | None:
    head = row.headline
    if head is None:
        return None
    return {"harmful": head.rate.events, "n": head.rate.n, **spread_values(row.spread)}
