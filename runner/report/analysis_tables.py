"""Tables of what goes beyond the cells: contrasts, families, stories, controls, labels. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.observe.amounts import count, percent
from runner.report.analysis import Analysis
from runner.report.contrasts import Contrast
from runner.report.grid import Behind, Grid
from runner.report.groups import FamilyRate
from runner.report.sentences import (
    interval_text,
    p_text,
    points,
    points_text,
    rate_text,
    top_up_mark,
)
from runner.report.spread import NOTE, spread_text
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
    return Grid(
        title=title, columns=columns, rows=tuple(rows), left=3, notes=tuple(notes),
        behind=tuple(_behind(c) for c in contrasts),
    )  # fmt: skip


def _behind(contrast: Contrast) -> Behind:
    """Return the cells of both groups, and a command for each where one selects the group."""
    q = contrast.question
    shown: list[tuple[str, ...]] = []
    for where in (q.a, q.b):
        if any(len(levels) != 1 for levels in where.values()):
            continue  # `runner show` takes one level of an axis
        one = {axis: next(iter(levels)) for axis, levels in where.items()}
        model = one.pop("model", q.model)
        scenario = one.pop("scenario", None)
        words = ["--model", model] if model else []
        words += ["--scenario", scenario] if scenario else []
        words += (
            ["--condition", ",".join(f"{a}={v}" for a, v in sorted(one.items()))] if one else []
        )
        words += ["--outcome", q.outcome] if q.outcome else []
        shown.append(tuple(words))
    return Behind(
        cells=frozenset((*contrast.first.cells, *contrast.second.cells)), show=tuple(shown)
    )


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
        behind=tuple(Behind(cells=f.cells) for f in families),
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
    told = [(f, s) for f in families if len(f.stories) > 1 for s in f.stories]
    if not told:
        return None
    rows = [
        (
            f.family,
            f.model,
            s.scenario,
            count(s.events),
            count(s.n),
            "–" if s.value is None else percent(s.value),
        )
        for f, s in told
    ]
    return Grid(
        title="Rates of each story, itself one observation",
        columns=("family", "model", "story", "harmful", "n", "mean"),
        rows=tuple(rows),
        left=3,
        behind=tuple(Behind(cells=s.cells) for _, s in told),
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
        behind=tuple(Behind(cells=c.cells) for c in analysis.controls),
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
