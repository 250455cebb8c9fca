"""Whole reports in the three forms that `runner report` prints. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

from runner.observe.budget import BudgetProgress
from runner.report.analysis_tables import analysis_grids
from runner.report.contents import Report
from runner.report.grid import Grid, csv_text
from runner.report.screen import Line, Style
from runner.report.sentences import warnings
from runner.report.spent import Spent
from runner.report.tables import (
    SIMULATED,
    headlines,
    opening,
    outcome_grid,
    rate_grid,
    report_values,
    row_values,
    spent_grid,
    state_grid,
)

SHOWN = 48
"""Rows of cells on a screen; files hold all of them."""
SHOWN_WARNINGS = 12
"""Warnings on a screen: a model that answered nothing has one for each arm."""


def screen_page(
    reports: Sequence[Report],
    spent: Sequence[Spent],
    budget: BudgetProgress,
    calibration_note: str = "",
    calibration: Sequence[Grid] = (),
) -> list[Line | Grid]:
    """Return lines and tables for people: warnings and sentences first, commands last."""
    out: list[Line | Grid] = []
    for i, report in enumerate(reports):
        first = opening(report)
        if i == 0:
            out += [Line(text, _style(text)) for text in first]
        if len(reports) > 1:
            out += [Line(""), Line(f"By {report.grader}, which judges {report.view}:", Style.HEAD)]
        out += [Line(text, Style.HEAD) for text in headlines(report)]
        told = warnings(report)
        out += [Line(text, Style.WARNING) for text in told[:SHOWN_WARNINGS]]
        if len(told) > SHOWN_WARNINGS:
            more = f"and {len(told) - SHOWN_WARNINGS:,} warnings more: see --json or --html."
            out.append(Line(more, Style.WARNING))
        out.append(Line(""))
        states = state_grid(report, SHOWN) if i == 0 else None
        grids = (states, rate_grid(report, SHOWN), outcome_grid(report, SHOWN))
        out += [grid for grid in grids if grid]
        if report.analysis:
            out += analysis_grids(report.analysis, report.level)
    attempts = spent_grid(spent)
    out += [attempts] if attempts else []
    if budget.limited:
        out.append(Line(f"budget: {' · '.join(budget.words())}"))
    out += calibration
    out += [Line(calibration_note), Line("")] if calibration_note else []
    return [*out, *(Line(text, Style.FAINT) for text in _where(reports))]


def _style(text: str) -> Style:
    return Style.WARNING if text == SIMULATED or text.startswith("INTERIM") else Style.HEAD


def _where(reports: Sequence[Report]) -> list[str]:
    first = reports[0]
    directory = shlex.quote(first.directory)
    out = [
        f"verdicts: {r.directory}/verdicts/{r.grader}@{(r.grader_digest or '')[:12]}/"
        for r in reports
        if r.grader
    ]
    harmful = any(row.headline and row.headline.rate.events for r in reports for row in r.rows)
    out.append(f"next: runner show {directory}" + (" --outcome harmful" if harmful else ""))
    if first.interim:
        out.append(f"      runner resume {directory}")
    return [*out, f"      runner report {directory} --html"]


def json_page(
    reports: Sequence[Report], spent: Sequence[Spent], budget: BudgetProgress
) -> dict[str, object]:
    """Return `{"reports": […], "budget": {…}}`, one report per grader."""
    return {"reports": [report_values(r, spent) for r in reports], "budget": asdict(budget)}


def csv_page(reports: Sequence[Report]) -> str:
    """Return one row per grader, condition and model; `interim` and `simulated` in each."""
    rows = [
        {
            "grader": r.grader,
            "interim": r.interim,
            **row_values(row),
            "simulated_sweep": r.simulated,
        }
        for r in reports
        for row in r.rows
    ]
    columns = list(rows[0]) if rows else ["grader", "interim"]
    return csv_text(columns, [["" if v is None else v for v in row.values()] for row in rows])
