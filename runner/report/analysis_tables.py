"""Tables of what goes beyond the cells: contrasts, families, stories, controls, labels. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from runner.observe.amounts import count, percent
from runner.report.analysis import Analysis
from runner.report.contrasts import Contrast, Side
from runner.report.grid import Grid
from runner.report.groups import FamilyRate
from runner.report.sentences import (
    interval_text,
    p_text,
    points,
    points_text,
    rate_text,
    top_up_mark,
)
from runner.report.spread import NOTE, spread_text, spread_values
from runner.statistics.binomial import Interval
from runner.statistics.significance import Test

SHOWN_EXPLORATORY = 20
_SHORT = {
    "Cochran-Mantel-Haenszel": "CMH",
    "exact conditional": "exact",
    "McNemar, exact": "McNemar",
    "no stratum with both outcomes": "none",
    "McNemar, no discordant pair": "none",
}
"""Names of tests that fit a column; `--json` has them whole."""
_TESTS = (
    "test: CMH: Cochran-Mantel-Haenszel; exact: the conditional test of the same, where events are few; "
    "McNemar, exact; none: nothing could differ"
)


def analysis_grids(analysis: Analysis, level: float) -> list[Grid]:
    """Return the tables that have rows."""
    out = [
        contrast_grid("Declared contrasts", analysis.declared, level),
        family_grid(analysis, level),
        story_grid(analysis.families),
        control_grid(analysis, level),
        label_grid(analysis, level),
        contrast_grid(
            "Exploratory: not declared before the sweep, not corrected",
            _strongest(analysis.exploratory),
            level,
            more=len(analysis.exploratory) - SHOWN_EXPLORATORY,
        ),
    ]
    return [grid for grid in out if grid is not None]


def _strongest(contrasts: Sequence[Contrast]) -> list[Contrast]:
    return sorted(contrasts, key=lambda c: c.test.p if c.test else 1.0)[:SHOWN_EXPLORATORY]


def contrast_grid(
    title: str, contrasts: Sequence[Contrast], level: float, *, more: int = 0
) -> Grid | None:
    """Return contrasts, one a row."""
    if not contrasts:
        return None
    rows: list[tuple[str, ...]] = []
    notes = [
        (
            f"difference: in percentage points, stratified, score interval {level:.0%} "
            "(Miettinen-Nurminen); paired where each prompt has one answer per model (Tango)"
        ),
        _TESTS,
        "bounds: the interval's ends with all that is outside n counted one way and the other",
        NOTE,
    ]
    said: dict[str, list[str]] = {}
    for c in contrasts:
        q = c.question
        d, low, high = c.difference, c.least, c.most
        rows.append(
            (
                q.name,
                _where(c),
                f"{q.first} − {q.second}",
                f"{count(c.first.pooled.events)}/{count(c.first.pooled.n)}",
                spread_text(c.first.spread),
                f"{count(c.second.pooled.events)}/{count(c.second.pooled.n)}",
                spread_text(c.second.spread),
                "–" if d is None else f"{points(d.value)} {points_text(d.interval)}",
                "–" if d is None else count(d.strata),
                "–" if c.test is None else _p(c.test) + top_up_mark(c.topped_up),
                "–" if c.test is None else _SHORT.get(c.test.method, c.test.method),
                "–"
                if c.odds is None
                else f"{c.odds.value:.3g} [{c.odds.interval.low:.3g}, {c.odds.interval.high:.3g}]",
                "–" if low is None or high is None else f"{points(low)} … {points(high)}",
            )
        )
        kept = [n for n in c.notes if q.declared or q.of_models or "declared" in n]
        for note in (*kept, *c.parameters):
            said.setdefault(note, []).append(q.name)
    notes += [f"{', '.join(names)}: {note}" for note, names in said.items()]
    if more > 0:
        notes.append(f"{count(more)} more in --json")
    columns = ("question", "where", "groups", "first", "stories", "second", "stories")
    columns += (f"difference [{level:.0%}]", "strata", "p", "test", "odds ratio (Firth)", "bounds")
    return Grid(title=title, columns=columns, rows=tuple(rows), left=3, notes=tuple(notes))


def _p(test: Test) -> str:
    """Return `Holm 0.012` or `< 0.001`: the column says what it is."""
    return p_text(test).replace("p = ", "").replace("p < ", "< ")


def _where(contrast: Contrast) -> str:
    q = contrast.question
    said = [q.model] if q.model and q.model not in q.name else []
    said += [f"{axis}={'|'.join(sorted(levels))}" for axis, levels in sorted(q.shared.items())]
    said += [q.outcome] if q.outcome else []
    return ", ".join(said) or "all"


def family_grid(analysis: Analysis, level: float) -> Grid | None:
    """Return pooled rates per family and model, the control arm left out."""
    families = analysis.families
    if not families:
        return None
    rows = [
        (
            f.family,
            f.model + (" (excluded)" if f.excluded else ""),
            count(f.pooled.events),
            count(f.pooled.n),
            count(f.pooled.clusters),
            "–" if f.pooled.value is None else percent(f.pooled.value),
            (interval_text(f.pooled.interval) if f.pooled.interval else f.pooled.why)
            + top_up_mark((f.family, f.model) in analysis.grown),
            spread_text(f.spread),
        )
        for f in families
    ]
    return Grid(
        title="Pooled over prompts (mean of conditions' rates, control arm left out)",
        columns=(
            "family",
            "model",
            "harmful",
            "n",
            "prompts",
            "mean",
            f"interval [{level:.0%}]",
            "stories",
        ),
        rows=tuple(rows),
        left=2,
        notes=(
            (
                "interval over prompts (Korn-Graubard), for prompts like these; none from fewer than "
                "10 prompts, or fewer than 5 with an event"
            ),
            NOTE,
        ),
    )


def story_grid(families: Sequence[FamilyRate]) -> Grid | None:
    """Return the rate of each story, None where no family has two."""
    rows = [
        (
            f.family,
            f.model,
            s.scenario,
            count(s.events),
            count(s.n),
            "–" if s.value is None else percent(s.value),
        )
        for f in families
        if len(f.stories) > 1
        for s in f.stories
    ]
    if not rows:
        return None
    return Grid(
        title="Rates of each story, itself one observation",
        columns=("family", "model", "story", "harmful", "n", "mean"),
        rows=tuple(rows),
        left=3,
        notes=("mean: of the rates of the story's conditions, control arm left out",),
    )


def control_grid(analysis: Analysis, level: float) -> Grid | None:
    """Return the control arms."""
    if not analysis.controls:
        return None
    rows = [
        (
            c.family,
            c.model,
            str(c.state),
            f"{c.outcome or 'harmful'} {percent(c.above)}",
            count(c.rate.events),
            count(c.rate.n),
            rate_text(c.rate, independent=c.independent)
            + top_up_mark((c.family, c.model) in analysis.grown),
            spread_text(c.spread),
        )
        for c in analysis.controls
    ]
    return Grid(
        title="Control arms (a model is excluded where the interval lies above the limit)",
        columns=(
            "family",
            "model",
            "state",
            "limit",
            "events",
            "n",
            f"rate [{level:.0%}]",
            "stories",
        ),
        rows=tuple(rows),
        left=4,
        notes=("interval about the mean rate on exactly these control prompts", NOTE),
    )


def label_grid(analysis: Analysis, level: float) -> Grid | None:
    """Return the rates given a label."""
    if not analysis.given:
        return None
    rows = [
        (
            g.labeller, g.label, g.scenario, g.model, count(g.rate.events), count(g.rate.n),
            rate_text(g.rate, independent=g.independent)
            + top_up_mark((g.scenario, g.model) in analysis.grown),
            spread_text(g.spread),
        )
        for g in analysis.given
    ]  # fmt: skip
    return Grid(
        title="Rates of graded answers given a label",
        columns=(
            "label of",
            "label",
            "scenario",
            "model",
            "harmful",
            "n",
            f"rate [{level:.0%}]",
            "stories",
        ),
        rows=tuple(rows),
        left=4,
        notes=(
            "about the mean rate on exactly these prompts, among answers that got the label",
            NOTE,
        ),
    )


def _interval(interval: Interval | None) -> dict[str, object] | None:
    if interval is None:
        return None
    return {"low": interval.low, "high": interval.high, "sided": str(interval.sided)}


def _side(side: Side) -> dict[str, object]:
    return {
        "label": side.label,
        "harmful": side.pooled.events,
        "n": side.pooled.n,
        "prompts": side.pooled.clusters,
        "mean": side.pooled.value,
        "share": side.share,
        "interval_over_prompts": _interval(side.pooled.interval),
        "no_interval_because": side.pooled.why,
        "interval_on_these_prompts": _interval(side.fixed),
        "cells": list(side.cells),
        **spread_values(side.spread),
    }


def contrast_values(contrast: Contrast) -> dict[str, object]:
    """Return a contrast as JSON values."""
    q, d, t, o = contrast.question, contrast.difference, contrast.test, contrast.odds
    other = contrast.without_excluded
    return {
        "name": q.name,
        "declared": q.declared,
        "a": {axis: sorted(levels) for axis, levels in q.a.items()},
        "b": {axis: sorted(levels) for axis, levels in q.b.items()},
        "model": q.model,
        "outcome": q.outcome,
        "grader": q.grader,
        "first": _side(contrast.first),
        "second": _side(contrast.second),
        "difference": d.value if d else None,
        "interval": _interval(d.interval if d else None),
        "strata": d.strata if d else 0,
        "paired": contrast.paired,
        "p": t.p if t else None,
        "p_holm": t.adjusted if t else None,
        "test": t.method if t else None,
        "odds_ratio": o.value if o else None,
        "odds_ratio_interval": _interval(o.interval if o else None),
        "bounds": [contrast.least, contrast.most],
        "cells_left_out": contrast.left_out,
        "seeds_added_after_a_look": contrast.topped_up,
        "without_excluded": contrast_values(other) if other else None,
        "request_parameters_differ": list(contrast.parameters),
        "notes": list(contrast.notes),
    }


def analysis_values(analysis: Analysis) -> dict[str, object]:
    """Return everything beyond the cells as JSON values."""
    return {
        "contrasts": [contrast_values(c) for c in analysis.declared],
        "exploratory": [contrast_values(c) for c in analysis.exploratory],
        "families": [
            {
                "family": f.family,
                "model": f.model,
                "excluded": f.excluded,
                "harmful": f.pooled.events,
                "n": f.pooled.n,
                "prompts": f.pooled.clusters,
                "mean": f.pooled.value,
                "interval": _interval(f.pooled.interval),
                "no_interval_because": f.pooled.why,
                "stories_low": f.spread.low,
                "stories_high": f.spread.high,
                "stories": [asdict(s) for s in f.stories],
            }
            for f in analysis.families
        ],
        "controls": [
            {
                "family": c.family,
                "model": c.model,
                "state": str(c.state),
                "harmful": c.rate.events,
                "n": c.rate.n,
                "interval": _interval(c.rate.interval if c.independent else None),
                "above": c.above,
                "outcome": c.outcome,
                **spread_values(c.spread),
            }
            for c in analysis.controls
        ],
        "given_labels": [
            {
                "labeller": g.labeller,
                "label": g.label,
                "scenario": g.scenario,
                "model": g.model,
                "harmful": g.rate.events,
                "n": g.rate.n,
                "interval": _interval(g.rate.interval if g.independent else None),
                **spread_values(g.spread),
            }
            for g in analysis.given
        ],
        "seeds_added_after_a_look": [
            {"at": t.at, "recorded": t.seen, "added": t.added, "cells": sorted(t.cells)}
            for t in analysis.top_ups
        ],
        "flags": list(analysis.flags),
    }
