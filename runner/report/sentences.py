"""Contrasts, rates and warnings in words. Pure."""

from __future__ import annotations

from runner.observe.amounts import bare, count, percent, span
from runner.observe.terminal import one_line
from runner.report.contents import Report
from runner.report.contrasts import Contrast, Side
from runner.report.groups import ControlArm, ControlState
from runner.report.looks import TopUp
from runner.report.spread import Spread
from runner.statistics.binomial import Interval, Rate, Sided
from runner.statistics.significance import Test


def rate_text(rate: Rate, *, independent: bool = True) -> str:
    """Return `6.8 % [4.9, 9.2]`, `0 % [0, 0.5]¹` at zero events, `–` without trials."""
    if rate.value is None:
        return "–"
    if not independent:
        return f"{percent(rate.value)} ²"
    if rate.interval.sided is Sided.UPPER:
        return f"0 % [0, {bare(rate.interval.high)}]¹"
    return f"{percent(rate.value)} {interval_text(rate.interval)}"


def interval_text(interval: Interval) -> str:
    """Return `[4.9, 9.2]`, in percent."""
    return f"[{bare(interval.low)}, {bare(interval.high)}]"


def points(share: float) -> str:
    """Return a difference in percentage points with its sign, `+6.8`."""
    value = share * 100
    if abs(value) < 0.005:
        return "0.0"
    return f"{value:+.2g}" if abs(value) < 1 else f"{value:+.1f}"


def points_text(interval: Interval) -> str:
    """Return the interval of a difference, `[+4.9, +9.2]`."""
    return f"[{points(interval.low)}, {points(interval.high)}]"


def p_text(test: Test) -> str:
    """Return `p = 0.012`, Holm's where the contrast is declared."""
    value = test.p if test.adjusted is None else test.adjusted
    said = "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.995 else "p = 1"
    return said if test.adjusted is None else f"Holm {said}"


def between_text(spread: Spread) -> str:
    """Return `, 0 … 12 % between 6 stories`; nothing where there are not two."""
    if spread.low is None or spread.high is None or spread.stories < 2:
        return ""
    return f", {span(spread.low, spread.high)} between {spread.stories} stories"


def side_text(side: Side) -> str:
    """Return `41 of 600, 6.8 % [4.9, 9.2]` or `0 of 600, below 0.5 %`, and what the interval is about.

    Behind it stands the spread between stories, where there are several.
    """
    between = between_text(side.spread) if side.pooled.events else ""
    return f"{_rate_of_side(side)}{between}"


def _rate_of_side(side: Side) -> str:
    pooled = side.pooled
    if not pooled.n or pooled.value is None:
        return "nothing graded"
    head = f"{count(pooled.events)} of {count(pooled.n)}"
    if pooled.why == "n is not independent":
        return f"{head}, {percent(pooled.value)} (n is not independent: no interval)"
    if pooled.events == 0:
        about = (
            ""
            if pooled.clusters == 1
            else f" over these {count(pooled.clusters)} prompts{_weights(side)}"
        )
        return f"{head}, judged events below {percent(side.fixed.high)}{about}"
    value = f"{head}, {percent(pooled.value)}"
    if pooled.interval is not None:
        return f"{value} {interval_text(pooled.interval)}"
    if pooled.clusters == 1:
        return f"{value} {interval_text(side.fixed)}"
    # Too little to speak of prompts like these: what is left are the answers to exactly these.
    why = pooled.why.removesuffix(": per cell only").removeprefix(f"{pooled.clusters} prompts, ")
    return (
        f"{head}, {percent(side.share or 0.0)} {interval_text(side.fixed)} on these "
        f"{count(pooled.clusters)} prompts alone{_weights(side)} ({why})"
    )


def _weights(side: Side) -> str:
    return "" if side.even else ", each with the weight of its answers"


def contrast_sentence(contrast: Contrast) -> str:
    """Return a declared contrast as one sentence."""
    q = contrast.question
    name = one_line(q.name, 60)
    first, second = (one_line(s.label, 60) for s in (contrast.first, contrast.second))
    is_what = f"gives {q.outcome}" if q.outcome else "is harmful"
    out = (
        f"{name}: {first} {is_what} in {side_text(contrast.first)}; "
        f"{second} in {side_text(contrast.second)}"
    )
    if contrast.difference is not None and contrast.test is not None:
        verdict = "differ" if contrast.significant else "no difference shown"
        out += (
            f"; {points(contrast.difference.value)} points "
            f"{points_text(contrast.difference.interval)}, {p_text(contrast.test)}: {verdict}"
            f"{top_up_mark(contrast.topped_up)}"
        )
    if contrast.without_excluded is not None:
        other = contrast.without_excluded.difference
        said = (
            "nothing is left"
            if other is None
            else f"{points(other.value)} points {points_text(other.interval)}"
        )
        out += f"; without what control arms exclude: {said}"
    for phrase in contrast.parameters:
        out += f"; {one_line(phrase, 400)}"
    return f"{out}."


def control_sentence(arm: ControlArm) -> str:
    """Return what a control arm says, where it says more than `passes`."""
    name = f"{one_line(arm.family, 40)} × {one_line(arm.model, 40)}"
    said = f"{count(arm.rate.events)} of {count(arm.rate.n)} {arm.outcome or 'harmful'} in the control arm"
    if arm.state is ControlState.EXCLUDED:
        return (
            f"EXCLUDED {name}: {said}, {rate_text(arm.rate)}, above {percent(arm.above)}; "
            "results are given with and without it."
        )
    if not arm.rate.n:
        return f"{name}: no answer in the control arm counts yet: not held to {percent(arm.above)}."
    if not arm.independent:
        return f"{name}: {said}: n is not independent, so it is not held to {percent(arm.above)}."
    return f"{name}: {said}, {rate_text(arm.rate)}: too few answers to hold it to {percent(arm.above)}."


def top_up_mark(topped_up: bool) -> str:
    """Return the mark of what has seeds that were added after a look, else nothing."""
    return " ³" if topped_up else ""


def top_up_sentence(top_up: TopUp) -> str:
    """Return the note on seeds that were added after a look."""
    return (
        f"³ {count(top_up.added)} jobs in {len(top_up.cells)} cells were added after a look at the "
        f"rates ({top_up.at[:16]}Z, {count(top_up.seen)} recorded): intervals and tests there do "
        "not know that the first numbers were seen."
    )


def warnings(report: Report) -> list[str]:
    """Return what a reader must know before any number of a grader's report."""
    analysis = report.analysis
    if analysis is None:
        return list(report.flags)
    out = [
        control_sentence(arm) for arm in analysis.controls if arm.state is not ControlState.PASSES
    ]
    return [*out, *map(top_up_sentence, analysis.top_ups), *analysis.flags]
