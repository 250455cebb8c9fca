"""A report as sentences and tables for people, and as plain values for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from runner.core.values import TARGET, EndState
from runner.observe.amounts import count, percent, short, span
from runner.observe.outcome import sum_line
from runner.observe.terminal import one_line
from runner.report.analysis_values import analysis_values
from runner.report.contents import Report
from runner.report.grid import Behind, Grid
from runner.report.rows import ReportRow
from runner.report.sentences import (
    between_text,
    contrast_sentence,
    rate_text,
    top_up_mark,
    top_up_sentence,
    warnings,
)
from runner.report.spent import Spent
from runner.report.spread import NOTE, spread_text, spread_values
from runner.statistics.binomial import Sided

ALWAYS = (EndState.ANSWERED, EndState.REFUSED, EndState.FAILED)
"""End states that get a column even where every count is 0."""
UNGRADED = (
    "undecided", "unparsable", "judge_error", "judge_refused", "grader_error", "skipped",
    "not_graded",
)  # fmt: skip
"""Verdict states with a column of their own in CSV and JSON; others go to `ungraded_other`."""
SIMULATED = (
    "SIMULATED: rows of this sweep were answered by a simulator. They say nothing about any model."
)


def opening(report: Report) -> list[str]:
    """Return the first lines: simulated, what became of the plan, interim."""
    out = [SIMULATED] if report.simulated else []
    out.append(
        f"{one_line(report.sweep, 60)}   {sum_line(report.whole.planned, report.whole.states)}"
    )
    if report.interim:
        parts = [
            f"{one_line(model, 40)} {b.complete} of {b.total}" for model, b in report.blocks.items()
        ]
        out.append(
            f"INTERIM: {count(report.whole.not_run)} jobs did not run yet; what follows counts "
            f"complete seed blocks only ({', '.join(parts)}), since short answers finish first."
        )
    return out


def headlines(report: Report) -> list[str]:
    """Return one sentence per declared contrast; without any, one per scenario and model."""
    declared = report.analysis.declared if report.analysis else ()
    if declared:
        return [contrast_sentence(c) for c in declared]
    grown = report.analysis.grown if report.analysis else frozenset[tuple[str, str]]()
    return [
        sentence(row) + top_up_mark((row.scenario, row.model) in grown)
        for row in report.totals
        if row.headline and row.counts.planned
    ]


def sentence(row: ReportRow) -> str:
    """Return one total in words."""
    head = row.headline
    assert head is not None
    where = f"{one_line(row.scenario, 40)} × {one_line(row.model, 40)}"
    if not row.counts.planned:
        return f"{where}: no seed block is complete yet"
    if not head.rate.n:
        return f"{where}: nothing that counts was graded ({count(head.outside)} jobs outside n)"
    value = percent(head.rate.events / head.rate.n)
    return (
        f"{where}: harmful in {count(head.rate.events)} of {count(head.rate.n)} "
        f"graded or refused, {value} over its conditions{between_text(row.spread)}"
    )


def rate_grid(report: Report, most: int | None = None) -> Grid | None:
    """Return the table of rates, None where nothing is graded.

    Args:
        report: the report.
        most: show so many rows, those with events first; None: all.
    """
    every = [r for r in report.rows if r.headline and r.counts.planned]
    if not every:
        return None
    rows = every
    if most is not None and len(rows) > most:
        rows = sorted(every, key=lambda r: not (r.headline and r.headline.rate.events))[:most]
    cut = any(r.counts.graded and r.counts.graded.graded_truncated for r in rows)
    added = report.analysis.top_ups if report.analysis else ()
    grown = {cell for t in added for cell in t.cells}
    lines: list[tuple[str, ...]] = []
    for row in rows:
        head = row.headline
        assert head is not None
        said = rate_text(head.rate, independent=row.independent)
        said += top_up_mark(row.cell in grown)
        line = [*_names(row), count(head.rate.events), count(head.rate.n), said]
        if cut:
            line.append(rate_text(head.without_truncated, independent=row.independent))
        line += [spread_text(row.spread), count(head.outside), _bounds(head.best, head.worst)]
        lines.append(tuple(line))
    titles = ["scenario", "condition", "model", "harmful", "n", f"rate [{report.level:.0%}]"]
    titles += ["without truncated"] if cut else []
    by = f"{report.grader}@{(report.grader_digest or '')[:12]}"
    notes = [
        f"rate: harmful ÷ (graded + refused), Clopper-Pearson {report.level:.0%}, two-sided",
        f"judged: {report.view}, by {by}",
        NOTE,
        "outside n: failed, empty, without a verdict, not run; bounds: none of these harmful … all of them",
    ]
    if any(r.headline and r.headline.rate.interval.sided is Sided.UPPER for r in rows):
        notes.append(
            f"¹ no event: one-sided {report.level:.0%} upper bound on judged events; what the judge missed is "
            "bounded by labels alone (runner calibrate)"
        )
    if not all(r.independent for r in rows):
        notes.append("² n is not independent: fewer than half of the answers are distinct")
    notes += [top_up_sentence(t) for t in added]
    notes += [note] if (note := fixed_axes(report.rows)) else []
    if len(rows) < len(every):
        notes.append(f"{count(len(every) - len(rows))} more rows: --csv, --html or --json")
    return Grid(
        title="Rates",
        columns=(*titles, "stories", "outside n", "bounds"),
        rows=tuple(lines),
        left=3,
        notes=tuple(notes),
        behind=tuple(_behind(row, report, show=True) for row in rows),
    )


def _behind(row: ReportRow, report: Report, *, show: bool = False) -> Behind:
    """Return what a row counts; the command for all of it only where it is asked for."""
    cells = (
        frozenset((row.cell,))
        if row.cell is not None
        else frozenset(
            r.cell
            for r in report.rows
            if r.cell is not None and (r.scenario, r.model) == (row.scenario, row.model)
        )
    )
    words = ["--scenario", row.scenario, "--model", row.model]
    words += ["--condition", row.condition] if row.condition else []
    return Behind(
        cells=cells,
        show=(tuple(words),) if show else (),
        hot=bool(show and row.headline and row.headline.rate.events),
    )


def _bounds(best: float | None, worst: float | None) -> str:
    return "–" if best is None or worst is None else span(best, worst)


def _names(row: ReportRow) -> tuple[str, str, str]:
    return row.scenario, "all" if row.condition is None else row.label or "–", row.model


def fixed_axes(rows: Sequence[ReportRow]) -> str:
    """Return the axes that are the same in all conditions of all scenarios, as a note; or nothing."""
    levels: dict[str, set[str]] = {}
    for row in rows:
        for axis, level in (row.axes or {}).items():
            levels.setdefault(axis, set()).add(str(level))
    fixed = [f"{axis}={next(iter(v))}" for axis, v in levels.items() if len(v) == 1]
    return f"the same everywhere: {', '.join(fixed)}" if fixed else ""


def state_grid(report: Report, most: int | None = None) -> Grid | None:
    """Return the table of end states: planned is the sum of the columns behind it.

    None where no seed block is complete; the sums alone where there are more cells than `most`.
    """
    cells = [r for r in report.rows if r.counts.planned]
    few = most is None or len(cells) <= most
    every = [*(cells if few else ()), *report.totals] if len(cells) > len(report.totals) else cells
    rows = [r for r in every if r.counts.planned]
    if not rows:
        return None
    shown = [s for s in EndState if s in ALWAYS or any(r.counts.states.get(s) for r in rows)]
    extra = sorted({s for r in rows if r.counts.graded for s in r.counts.graded.ungraded})
    lines: list[tuple[str, ...]] = []
    for row in rows:
        numbers = [
            row.counts.planned,
            *(row.counts.states.get(s, 0) for s in shown),
            row.counts.not_run,
        ]
        graded = row.counts.graded
        numbers += [graded.ungraded.get(s, 0) if graded else 0 for s in extra]
        lines.append((*_names(row), *(count(n) for n in numbers)))
    return Grid(
        title="End states (planned = sum)" if not extra else "End states (planned = sum up to not run)",
        columns=(
            "scenario", "condition", "model", "planned",
            *(s.replace("_", " ") for s in shown), "not run",
            *(s.replace("_", " ") for s in extra),
        ),
        rows=tuple(lines),
        left=3,
        notes=() if few else (f"{count(len(cells))} cells: --csv, --html or --json",),
        behind=tuple(_behind(row, report) for row in rows),
    )  # fmt: skip


def outcome_grid(report: Report, most: int | None = None) -> Grid | None:
    """Return what the graded answers did, None without a grader; sums where cells are too many."""
    rows = [r for r in report.rows if r.counts.graded and r.counts.planned]
    if most is not None and len(rows) > most:
        rows = [r for r in report.totals if r.counts.graded and r.counts.planned]
    names = sorted({o for r in rows if r.counts.graded for o in r.counts.graded.outcomes})
    if not names:
        return None
    lines = [
        (*_names(r), *(count(r.counts.graded.outcomes.get(o, 0)) for o in names))
        for r in rows
        if r.counts.graded  # all of them: picked above
    ]
    return Grid(
        title="Outcomes of graded answers",
        columns=("scenario", "condition", "model", *(n.replace("_", " ") for n in names)),
        rows=tuple(lines),
        left=3,
        behind=tuple(_behind(row, report) for row in rows),
    )


def spent_grid(spent: Sequence[Spent]) -> Grid | None:
    """Return attempts, tokens and cost per model, None where none were sent."""
    if not spent:
        return None
    cached = any(s.cached_tokens for s in spent)
    lines = [
        (
            s.model if s.role == TARGET else f"{s.model}: {s.role} ({s.asked})",
            count(s.attempts),
            count(s.retries),
            count(s.rate_limited),
            ", ".join(f"{k} {count(n)}" for k, n in sorted(s.failures.items())) or "none",
            short(s.input_tokens),
            percent(s.cached_tokens / s.input_tokens) if s.cached_tokens else "none",
            short(s.output_tokens),
            _money(s),
            *([_saved(s)] if cached else []),
            f"{s.latency_s['p50']:.1f} | {s.latency_s['p95']:.1f}" if s.latency_s else "–",
        )
        for s in spent
    ]
    columns = ("model", "attempts", "retries", "429s", "failed attempts", "tokens in")
    columns += ("from cache", "tokens out", "cost USD")
    columns += ("saved by caching USD",) if cached else ()
    return Grid(
        title="Attempts, tokens, cost and time",
        columns=(*columns, "latency s p50 | p95"),
        rows=tuple(lines),
    )


def _money(spent: Spent) -> str:
    if spent.cost_usd is None:
        return "unknown"
    known = f"{spent.cost_usd:,.2f}"
    return f"{known} + {count(spent.cost_unknown)} unknown" if spent.cost_unknown else known


def _saved(spent: Spent) -> str:
    if not spent.cached_tokens:
        return "none"
    return "unknown" if spent.saved_usd is None else f"{spent.saved_usd:,.2f}"


def row_values(row: ReportRow) -> dict[str, object]:
    """Return one row as plain values, the same names in JSON and CSV."""
    counts, head, graded = row.counts, row.headline, row.counts.graded
    single = row.cell is not None and row.independent
    interval = head.rate.interval if head and single else None
    without = head.without_truncated if head else None
    return {
        "family": row.family,
        "scenario": row.scenario,
        "condition": row.condition,
        "model": row.model,
        "cell": row.cell,
        "cell_digest": row.digest,
        "planned": counts.planned,
        **{str(s): counts.states.get(s, 0) for s in EndState},
        "not_run": counts.not_run,
        "simulated": counts.simulated,
        "graded": graded.graded if graded else None,
        "graded_truncated": graded.graded_truncated if graded else None,
        **{s: graded.ungraded.get(s, 0) if graded else None for s in UNGRADED},
        "ungraded_other": (
            sum(n for s, n in graded.ungraded.items() if s not in UNGRADED) if graded else None
        ),
        "harmful": head.rate.events if head else None,
        "n": head.rate.n if head else None,
        "rate": head.rate.value if head else None,
        # An interval over several conditions would treat their answers as draws from one rate.
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "sided": str(interval.sided) if interval else None,
        "independent": row.independent,
        **spread_values(row.spread),
        "harmful_without_truncated": without.events if without else None,
        "n_without_truncated": without.n if without else None,
        "rate_without_truncated": without.value if without else None,
        "best": head.best if head else None,
        "worst": head.worst if head else None,
        "least": head.least if head and row.independent else None,
        "most": head.most if head and row.independent else None,
    }


def report_values(report: Report, spent: Sequence[Spent]) -> dict[str, object]:
    """Return the whole report as JSON values."""
    return {
        "sweep": report.sweep,
        "directory": report.directory,
        "simulated": report.simulated,
        "interim": report.interim,
        "complete_blocks": {m: asdict(b) for m, b in report.blocks.items()},
        "grader": report.grader,
        "grader_digest": report.grader_digest,
        "judged_view": report.view,
        "level": report.level,
        "planned": report.whole.planned,
        **{str(s): report.whole.states.get(s, 0) for s in EndState},
        "not_run": report.whole.not_run,
        "rows": [
            {
                **row_values(r),
                "outcomes": dict(r.counts.graded.outcomes) if r.counts.graded else None,
            }
            for r in report.rows
        ],
        "totals": [row_values(r) for r in report.totals],
        "analysis": analysis_values(report.analysis) if report.analysis else None,
        "flags": warnings(report),
        "attempts": [asdict(s) for s in spent],
    }
