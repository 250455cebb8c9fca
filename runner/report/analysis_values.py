"""What goes beyond the cells as plain values, for JSON. Pure."""

from __future__ import annotations

from runner.report.analysis import Analysis
from runner.report.contrasts import Contrast, Side
from runner.report.spread import spread_values
from runner.statistics.binomial import Interval


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
                "stories": [
                    {"scenario": s.scenario, "events": s.events, "n": s.n, "value": s.value}
                    for s in f.stories
                ],
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
