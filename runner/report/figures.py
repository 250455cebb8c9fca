"""A report's figures as SVG text. Matplotlib's only home.

Colours are those of M. Okabe and K. Ito (told apart by colour-blind readers); since grey printers
lose them, every series also has a marker or a hatch of its own, and intervals are drawn, not shaded.
Text stays text, so that it can be searched and read aloud. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from runner.core.values import EndState
from runner.observe.terminal import one_line
from runner.report.contents import Report
from runner.report.contrasts import Contrast
from runner.report.groups import FamilyRate
from runner.report.rates import CellCounts
from runner.report.rows import ReportRow
from runner.statistics.binomial import Interval, Sided

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 60
"""Lines of a figure; more cannot be read, the tables have them all."""
MOST_MODELS = 24
"""Models with a figure of their own."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STATES: tuple[tuple[str, str, str], ...] = (
    ("harmful", "#D55E00", "////"),
    ("not harmful", "#56B4E9", ""),
    ("refused", "#0072B2", "...."),
    ("blocked", "#009E73", "oo"),
    ("without a verdict", "#E69F00", "xxxx"),
    ("empty", "#CC79A7", "\\\\\\\\"),
    ("failed", "#000000", ""),
    ("not run", "#FFFFFF", "----"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawn figure."""

    name: str
    """For its file: letters, digits and `-`."""
    title: str
    svg: str
    alternative: str
    """What it shows, for those who cannot see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """A point with an interval on one line of a forest plot."""

    label: str
    value: float
    interval: Interval | None
    series: int = 0


def report_figures(report: Report) -> list[Figure]:
    """Return the figures that have something to show."""
    analysis = report.analysis
    out: list[Figure] = []
    every = list(dict.fromkeys(r.model for r in report.rows if r.headline))
    models = every[:MOST_MODELS]
    forests = {m: [r for r in report.rows if r.model == m] for m in models}
    right = _farthest([r for rows in forests.values() for r in rows])
    for i, (model, rows) in enumerate(forests.items()):
        drawn = _forest(f"rates-{i + 1}", model, rows, i, right)
        if len(models) < len(every) and i == 0:
            more = f" (figures of {len(models)} of {len(every)} models: the table has all)"
            drawn = [replace(f, title=f.title + more) for f in drawn]
        out += drawn
    out += _states(report.rows, report.totals)
    if analysis is not None:
        effects = [c for c in analysis.declared if c.difference]
        out += _effects("contrasts", "Declared contrasts", effects)
        axes = [c for c in analysis.exploratory if c.difference and not c.question.of_models]
        out += _effects("axis-effects", "Axis effects (exploratory)", axes)
        out += _stories(analysis.families)
        out += _generations(report, analysis.families)
    return out


def _farthest(rows: Sequence[ReportRow]) -> float:
    """Return the end of the axis on which all models' rates are drawn, in percent."""
    ends = [
        rate.interval.high if rate.interval and r.independent else rate.value or 0.0
        for r in rows
        if r.headline and (rate := r.headline.rate).n
    ]
    return min(101.0, max(2.0, max(ends, default=0.0) * 105.0))


def _forest(
    name: str, model: str, rows: Sequence[ReportRow], series: int, right: float
) -> list[Figure]:
    found = [r for r in rows if r.headline and r.headline.rate.n]
    shown = found
    if len(found) > MOST_LINES:
        shown = sorted(found, key=lambda r: -(r.headline.rate.events if r.headline else 0))
        shown = shown[:MOST_LINES]
    several = len({r.scenario for r in shown}) > 1
    bars = [
        _Bar(
            label=(f"{r.scenario} " if several else "") + (r.label or r.scenario),
            value=r.headline.rate.value or 0.0,
            interval=r.headline.rate.interval if r.independent else None,
            series=series,
        )
        for r in shown
        if r.headline
    ]
    if not bars:
        return []
    title = f"Harmful answers of {one_line(model, 60)} by condition"
    if len(shown) < len(found):
        title += f" ({len(shown)} of {len(found)}, most events first)"
    ends = sum(r.headline.rate.interval.sided is Sided.UPPER for r in shown if r.headline)
    label = "harmful, %" + (" (at 0 events: one-sided upper bound)" if ends else "")
    return [_bars(name, title, bars, label, right=right)]


def _effects(name: str, title: str, contrasts: Sequence[Contrast]) -> list[Figure]:
    bars = [
        _Bar(
            label=c.question.name + _asked(c),
            value=c.difference.value,
            interval=c.difference.interval,
        )
        for c in contrasts[:MOST_LINES]
        if c.difference
    ]
    if len(contrasts) > MOST_LINES:
        title += f" ({MOST_LINES} of {len(contrasts)})"
    return [_bars(name, title, bars, "difference, percentage points")] if bars else []


def _asked(contrast: Contrast) -> str:
    model = contrast.question.model
    return f" ({model})" if model and model not in contrast.question.name else ""


def _stories(families: Sequence[FamilyRate]) -> list[Figure]:
    several = [f for f in families if len(f.stories) > 1]
    if not several:
        return []
    every = list(dict.fromkeys(f.model for f in several))
    models = every[: len(_MARKERS)]
    lines = [(f.family, s.scenario) for f in several for s in f.stories]
    lines = list(dict.fromkeys(lines))[:MOST_LINES]

    def draw(axes: Axes) -> None:
        for f in several:
            if f.model not in models:
                continue
            i = models.index(f.model)
            points = [
                (s.value * 100, lines.index((f.family, s.scenario)))
                for s in f.stories
                if s.value is not None and (f.family, s.scenario) in lines
            ]
            _scatter(axes, points, i, f.model)
        _labels(axes, [story for _, story in lines])
        _rate_axis(axes, "harmful, %")
        _legend(axes)

    title = "Spread between stories, control arm left out"
    if len(models) < len(every):
        title += f" ({len(models)} of {len(every)} models)"
    said = f"One point per story and model: {len(lines)} stories, {len(models)} models."
    return [_draw("stories", title, len(lines), draw, said)]


def _generations(report: Report, families: Sequence[FamilyRate]) -> list[Figure]:
    declared = report.analysis.declared if report.analysis else ()
    chain = [c.question for c in declared if c.question.chain]
    if not chain:
        return []
    order = [chain[0].second, *dict.fromkeys(q.first for q in chain)]
    names = list(dict.fromkeys(f.family for f in families))
    bare = [
        f.family
        for f in families
        if f.model in order and f.pooled.value is not None and f.pooled.interval is None
    ]

    def draw(axes: Axes) -> None:
        for i, family in enumerate(names):
            by_model = {f.model: f.pooled for f in families if f.family == family}
            points = [
                (order.index(m), p.value * 100, p.interval)
                for m, p in by_model.items()
                if m in order and p.value is not None
            ]
            points.sort(key=lambda point: point[0])
            drawn = cast("Any", axes)
            drawn.plot(
                [x for x, _, _ in points], [y for _, y, _ in points], label=family,
                color=_COLOURS[i % len(_COLOURS)], marker=_MARKERS[i % len(_MARKERS)],
                linestyle=("-", "--", ":", "-.")[i % 4],
            )  # fmt: skip
            for x, y, interval in points:
                if interval is not None:
                    drawn.errorbar(
                        [x], [y], [[y - interval.low * 100], [interval.high * 100 - y]],
                        color=_COLOURS[i % len(_COLOURS)], capsize=3,
                    )  # fmt: skip
        drawn = cast("Any", axes)
        drawn.set_xticks(range(len(order)), [one_line(m, 30) for m in order])
        drawn.set_ylabel("harmful, % (mean over prompts)")
        drawn.set_ylim(bottom=0)
        _legend(axes)

    said = f"Mean rates of {', '.join(order)}, the oldest first."
    title = "Older and newer models, control arm left out"
    if bare:
        title += " (points without an interval: too few prompts or events, see the table)"
    return [_draw("generations", title, 14, draw, said)]


def _states(rows: Sequence[ReportRow], totals: Sequence[ReportRow]) -> list[Figure]:
    found = [r for r in rows if r.counts.planned]
    per_cell = len(found) <= MOST_LINES
    shown = found if per_cell else [r for r in totals if r.counts.planned][:MOST_LINES]
    if not shown:
        return []
    parts = [_parts(r.counts) for r in shown]
    several = len({r.scenario for r in shown}) > 1

    def draw(axes: Axes) -> None:
        drawn = cast("Any", axes)
        left = [0.0] * len(shown)
        for i, (state, colour, hatch) in enumerate(_STATES):
            widths = [
                100 * p[i] / max(1, r.counts.planned) for p, r in zip(parts, shown, strict=True)
            ]
            if any(widths):
                drawn.barh(
                    range(len(shown)), widths, left=left, color=colour, hatch=hatch, label=state,
                    edgecolor="#333333", linewidth=0.5, height=0.75,
                )  # fmt: skip
            left = [a + b for a, b in zip(left, widths, strict=True)]
        _labels(axes, [_named(r, several=several) for r in shown])
        drawn.set_xlim(0, 100)
        drawn.set_xlabel("planned jobs, %")
        _legend(axes)

    what = "condition and model" if per_cell else "scenario and model"
    return [_draw("end-states", f"End states by {what}", len(shown), draw, "Stacked shares.")]


def _named(row: ReportRow, *, several: bool) -> str:
    """Return the name of a line: stories have the same conditions, so the scenario belongs to it."""
    words = [row.model, row.scenario if several or not row.label else "", row.label]
    return " ".join(word for word in words if word)


def _parts(counts: CellCounts) -> list[int]:
    graded = counts.graded
    harmful = graded.harmful if graded else 0
    hurt = graded.harmful_blocked if graded else 0  # before the block: shown as harmful
    told = graded.graded - graded.graded_blocked + hurt if graded else 0
    states = counts.states
    refused, empty = states.get(EndState.REFUSED, 0), states.get(EndState.EMPTY, 0)
    blocked = states.get(EndState.BLOCKED, 0) - hurt
    answered = states.get(EndState.ANSWERED, 0) + states.get(EndState.TRUNCATED, 0)
    failed = sum(states.get(s, 0) for s in (EndState.FAILED, EndState.TOO_LARGE, EndState.POISON))
    without = answered - (told - hurt)
    return [harmful, told - harmful, refused, blocked, without, empty, failed, counts.not_run]


def _bars(
    name: str, title: str, bars: Sequence[_Bar], label: str, *, right: float | None = None
) -> Figure:
    """Draw points with intervals: rates up to `right`, or differences about 0 where that is None."""

    def draw(axes: Axes) -> None:
        drawn = cast("Any", axes)
        for y, bar in enumerate(bars):
            colour = _COLOURS[bar.series % len(_COLOURS)]
            if bar.interval is not None:
                ends = [bar.interval.low * 100, bar.interval.high * 100]
                drawn.plot(ends, [y, y], color=colour, linewidth=1.4)
                drawn.plot(ends, [y, y], color=colour, marker="|", linestyle="", markersize=6)
            drawn.plot(
                [bar.value * 100], [y], color=colour, markersize=5,
                marker=_MARKERS[bar.series % len(_MARKERS)],
                fillstyle="full" if bar.interval else "none",
            )  # fmt: skip
        _labels(axes, [bar.label for bar in bars])
        if right is None:
            drawn.axvline(0, color="#555555", linewidth=0.8, linestyle="--")
            drawn.set_xlabel(label)
        else:
            _rate_axis(axes, label)
            drawn.set_xlim(right=right)

    said = "; ".join(f"{one_line(b.label, 60)} {b.value * 100:.2g}" for b in bars[:20])
    return _draw(name, title, len(bars), draw, said)


def _scatter(axes: Axes, points: Iterable[tuple[float, int]], i: int, label: str) -> None:
    listed = list(points)
    cast("Any", axes).plot(
        [x for x, _ in listed], [y for _, y in listed], linestyle="", markersize=6, label=label,
        color=_COLOURS[i % len(_COLOURS)], marker=_MARKERS[i % len(_MARKERS)],
    )  # fmt: skip


def _labels(axes: Axes, labels: Sequence[str]) -> None:
    drawn = cast("Any", axes)
    # A dollar sign would begin mathematics.
    names = [one_line(text, 90).replace("$", r"\$") for text in labels]
    drawn.set_yticks(range(len(labels)), names, fontsize=7)
    drawn.set_ylim(len(labels) - 0.4, -0.6)
    drawn.grid(axis="x", color="#dddddd", linewidth=0.6)
    drawn.set_axisbelow(True)  # matplotlib's own signature


def _rate_axis(axes: Axes, label: str) -> None:
    drawn = cast("Any", axes)
    drawn.set_xlabel(label)
    drawn.set_xlim(left=-0.5)


def _legend(axes: Axes) -> None:
    drawn = cast("Any", axes)
    drawn.figure.legend(fontsize=7, loc="outside lower center", ncols=4, frameon=False)


def _draw(
    name: str, title: str, lines: int, draw: Callable[[Axes], None], alternative: str
) -> Figure:
    import matplotlib as mpl  # noqa: PLC0415  # half a second, and only pages need it
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415  # as above
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415  # as above

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "runner",
        "font.family": "sans-serif",
        "font.size": 8,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(cast("Any", settings)):
        figure = Canvas(figsize=(9, 1.2 + 0.19 * max(lines, 3)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = cast("Any", figure).add_subplot()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "runner"})
    return Figure(name=name, title=title, svg=out.getvalue().decode(), alternative=alternative)
