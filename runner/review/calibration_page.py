"""A calibration as tables, lines, JSON and CSV. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from runner.observe.amounts import count, many, percent
from runner.report.grid import Grid, csv_text
from runner.report.screen import Line, Style
from runner.report.sentences import interval_text, points, points_text, rate_text
from runner.report.spread import NOTE, spread_text, spread_values
from runner.report.tables import SIMULATED
from runner.review.calibration import Accuracy, Between, Calibration, CellRate
from runner.statistics.agreement import Agreement
from runner.statistics.binomial import Interval
from runner.statistics.calibrated import Calibrated

UNCALIBRATED = "judge uncalibrated here"
UNLABELLED = "a verdict without labels: taken for none and for all events"


def note_of(found: Calibration | None, graders: Sequence[str]) -> str:
    """Return the paragraph of a report on how far its rates rest on people."""
    if not graders:
        return "No grader is in use."
    if found is None or not found.labels:
        return (
            f"No human labels for {', '.join(graders)} in this sweep: {UNCALIBRATED}. Rates are of judged "
            "events, and bounds at zero events bound judged events only, not missed ones. "
            "Label a sample: runner review."
        )
    out = [
        (
            f"{many(found.labels, 'label')} by {many(len(found.labellers), 'person').replace('persons', 'people')} "
            f"on {count(found.records)} of the {count(found.drawn)} transcripts of draw {found.draw}, drawn by "
            f"model × scenario × verdict of {found.grader} and weighted by their selection."
        )
    ]
    bare = [f"{r.model} on {r.scenario}" for r in found.rates if not r.labelled]
    if bare:
        out.append(f"{UNCALIBRATED.capitalize()}: {', '.join(bare)}.")
    if found.cannot_tell:
        out.append(
            f"{many(found.cannot_tell, 'transcript')} nobody could tell anything of: left out."
        )
    if found.disputed:
        out.append(
            f"On {many(found.disputed, 'transcript')} labels differ: the majority counts, at a tie the first."
        )
    return " ".join((*out, *found.flags))


def calibration_lines(found: Calibration, graders: Sequence[str]) -> list[Line | Grid]:
    """Return the note and the tables."""
    style = Style.WARNING if found.flags or not found.labels else Style.HEAD
    told = [Line(SIMULATED, Style.WARNING)] if found.simulated else []
    return [*told, Line(note_of(found, graders), style), Line(""), *calibration_grids(found)]


def calibration_grids(found: Calibration) -> list[Grid]:
    """Return the tables that have rows."""
    out = [_rate_grid(found), _accuracy_grid(found), _between_grid(found), _difference_grid(found)]
    return [grid for grid in out if grid.rows]


def _rate_grid(found: Calibration) -> Grid:
    rows = tuple(
        (
            r.scenario, r.model, count(r.judged.n), count(r.judged.events), rate_text(r.judged),
            spread_text(r.judged_spread), count(r.labelled), count(r.positive),
            calibrated_text(r.calibrated), spread_text(r.calibrated_spread), what_holds(r),
        )
        for r in found.rates
    )  # fmt: skip
    columns = (
        *("scenario", "model", "n", "judged events", "judged rate", "stories", "labels"),
        *("events among them", "calibrated rate", "stories", "standing"),
    )
    notes = (
        (
            "calibrated rate: Σ W_h p_h over strata by verdict, its interval from labels and verdicts together; "
            "over n and answers without a verdict"
        ),
        NOTE,
    )
    return Grid(
        title="Judged and calibrated rates", columns=columns, rows=rows, left=2, notes=notes
    )


def calibrated_text(found: Calibrated | None) -> str:
    """Return `3.1 % [0.9, 7.0]`, `– [0, 41.2]` where a stratum lacks labels, `–` without labels."""
    if found is None or not found.labelled:
        return "–"
    value = "–" if found.value is None else percent(found.value)
    return f"{value} {interval_text(found.interval)}"


def what_holds(row: CellRate) -> str:
    """Return what a bound at zero judged events bounds, or that nothing calibrates the judge here."""
    if not row.labelled or row.calibrated is None:
        return f"{UNCALIBRATED}{_judged_bound(row)}"
    if row.judged.events:
        return "" if row.calibrated.value is not None else UNLABELLED
    if not row.missed_bounded:
        return f"missed events not bounded{_judged_bound(row)}"
    return f"events at most {percent(row.calibrated.interval.high)}, missed ones too"


def _judged_bound(row: CellRate) -> str:
    if row.judged.events or not row.judged.n:
        return ""
    return f"; judged events below {percent(row.judged.interval.high)}"


def _accuracy_grid(found: Calibration) -> Grid:
    rows = tuple(
        (
            a.grader, a.kind, a.model or "all", count(a.verdicts), count(a.labelled),
            *((calibrated_text(a.precision), calibrated_text(a.recall)) if a.verdicts else ("no verdict", "no verdict")),
            kappa_text(a.with_people),
        )
        for a in found.accuracy
    )  # fmt: skip
    columns = (
        "grader",
        "kind",
        "model",
        "verdicts",
        "labels",
        "precision",
        "recall",
        "κ with people",
    )
    notes = ("recall counts an event without a verdict as missed",)
    return Grid(title="Graders against people", columns=columns, rows=rows, left=3, notes=notes)


def _between_grid(found: Calibration) -> Grid:
    rows = tuple(
        (
            b.who, b.what, count(b.agreement.agreed.n), rate_text(b.agreement.agreed),
            kappa_text(b.agreement),
        )
        for b in found.between
    )  # fmt: skip
    columns = ("between", "on", "records", "agree", "κ")
    return Grid(
        title="Agreement", columns=columns, rows=rows, left=2,
        notes=("κ of people is weighted by selection; agree is of the records themselves",),
    )  # fmt: skip


def kappa_text(found: Agreement) -> str:
    """Return `0.81 [0.62, 1.00]`."""
    if found.kappa is None or found.interval is None:
        return "–"
    # Adding 0 makes a zero of a negative one.
    value, low, high = (
        f"{round(x, 2) + 0.0:.2f}" for x in (found.kappa, found.interval.low, found.interval.high)
    )
    return f"{value} [{low}, {high}]"


def _difference_grid(found: Calibration) -> Grid:
    rows = tuple(
        (d.scenario, d.model, d.other, f"{points(d.value)} {points_text(d.interval)}")
        for d in found.differences
    )
    columns = ("scenario", "model", "minus", "calibrated difference, points")
    return Grid(title="Calibrated differences", columns=columns, rows=rows, left=3)


def calibration_values(found: Calibration) -> dict[str, object]:
    """Return the same for programs; rates as shares."""
    return {
        **{k: v for k, v in asdict(found).items() if k not in {"rates", "accuracy", "between"}},
        "rates": [_rate_values(r) for r in found.rates],
        "accuracy": [_accuracy_values(a) for a in found.accuracy],
        "between": [_between_values(b) for b in found.between],
    }


def calibration_csv(found: Calibration) -> str:
    """Return the rates, one row per scenario and model."""
    rows = [
        {
            "draw": found.draw,
            "grader": found.grader,
            **_rate_values(r),
            "simulated_sweep": found.simulated,
        }
        for r in found.rates
    ]
    columns = list(rows[0]) if rows else ["draw", "grader"]
    return csv_text(columns, [["" if v is None else v for v in row.values()] for row in rows])


def _rate_values(row: CellRate) -> dict[str, object]:
    return {
        "scenario": row.scenario,
        "model": row.model,
        "n": row.judged.n,
        "judged_events": row.judged.events,
        "judged_rate": row.judged.value,
        **_limits("judged", row.judged.interval),
        **{f"judged_{k}": v for k, v in spread_values(row.judged_spread).items()},
        "labels": row.labelled,
        "label_events": row.positive,
        **_calibrated("calibrated_rate", row.calibrated),
        **{f"calibrated_{k}": v for k, v in spread_values(row.calibrated_spread).items()},
        "missed_events_bounded": row.missed_bounded,
        "uncalibrated": not row.labelled,
    }


def _accuracy_values(one: Accuracy) -> dict[str, object]:
    return {
        "grader": one.grader,
        "kind": one.kind,
        "model": one.model or None,
        "verdicts": one.verdicts,
        "labels": one.labelled,
        **_calibrated("precision", one.precision if one.verdicts else None),
        **_calibrated("recall", one.recall if one.verdicts else None),
        **_agreement(one.with_people),
    }


def _between_values(one: Between) -> dict[str, object]:
    return {"who": one.who, "what": one.what, **_agreement(one.agreement)}


def _agreement(found: Agreement) -> dict[str, object]:
    return {
        "pairs": found.agreed.n,
        "agreed": found.agreed.events,
        "kappa": found.kappa,
        **_limits("kappa", found.interval),
    }


def _calibrated(name: str, found: Calibrated | None) -> dict[str, object]:
    there = found if found is not None and found.labelled else None
    return {
        name: there.value if there else None,
        **_limits(name, there.interval if there else None),
    }


def _limits(name: str, interval: Interval | None) -> dict[str, object]:
    return {
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }
