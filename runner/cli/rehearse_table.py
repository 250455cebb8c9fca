"""How a rehearsal reads on a screen and as JSON. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from runner.observe.amounts import count, duration, many, money, percent, short
from runner.observe.terminal import one_line
from runner.pipeline.estimating import ASK_ABOVE_USD
from runner.pipeline.rehearsing import Rehearsed, Tried
from runner.rehearse.outcome import GroupOutcome, ModelOutcome, Outcome

_WORDS = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "places": "max_in_flight",
    "workers": "the workers' processors",
    "pause": "a pause after a 429",
    "start": "the start (ramping up, first answers)",
    "tail": "nothing: the last answers are written",
    "demand": "nothing: it could answer more than it is asked",
}
_SHORT = {"places": "max_in_flight", "workers": "processors", "start": "start", "demand": "-"}
_SAME = 0.02
"""Share of a change below which it may be chance."""


def lines(done: Rehearsed, typed: Sequence[str], *, width: int) -> list[str]:
    """Return everything that is printed.

    Args:
        done: the rehearsal.
        typed: configuration and overrides as the user typed them.
        width: of the screen, in characters.
    """
    where = shlex.join(typed)
    if done.outcome is None:
        return [
            f"{done.name}: nothing is owed.",
            f"next: runner report {shlex.quote(done.output)}",
        ]
    outcome = done.outcome
    told = [*_heading(done, outcome), "", *_drawn(_models(outcome), width)]
    if any(g.buckets or g.phases for g in outcome.groups):
        told += ["", *_drawn(_groups(outcome), width)]
    told += ["", *_phases(outcome)]
    if done.judges:
        told += ["", *(_judge(name, of) for name, of in done.judges)]
    if done.tried:
        told += ["", *_drawn(_what_ifs(done.tried, outcome), width)]
    told += ["", "assumed:", *(f"  {line}" for line in done.assumed)]
    workers = f" --workers {done.workers}" if done.workers > 1 else ""
    agreed = " --yes" if outcome.cost_usd > ASK_ABOVE_USD else ""
    return [*told, f"next: runner sweep {where}{workers}{agreed}"]


def _heading(done: Rehearsed, outcome: Outcome) -> Iterator[str]:
    cost = f"{money(outcome.cost_usd)} USD"
    if outcome.unpriced:
        known = f"{cost} + " if outcome.cost_usd else ""
        cost = f"{known}an unknown price of {', '.join(outcome.unpriced)}"
    yield (
        f"{done.name}: {many(round(outcome.jobs), 'job')} with {many(done.workers, 'worker')} would take "
        f"{duration(outcome.duration_s)}, {many(round(outcome.calls), 'request')}, {cost}, "
        f"429s {percent(outcome.refused_share)}"
    )
    if outcome.simulated_jobs < round(outcome.jobs):
        yield (
            f"(a sample of {count(outcome.simulated_jobs)} jobs, call by call; a line through it "
            "and its half for the rest)"
        )


def _drawn(table: Table, width: int) -> list[str]:
    console = Console(highlight=False, soft_wrap=True, width=width)
    with console.capture() as captured:  # printing itself, rich would end the process on `| head`
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def _grid(*names: str, left: int = 1) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(names):
        grid.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    return grid


def _models(outcome: Outcome) -> Table:
    cached = any(m.cached_tokens or m.written_tokens for m in outcome.models)
    names = ["model", "jobs", "requests", "429s", "in tok"]
    names += ["cached", "written"] if cached else []
    grid = _grid(*names, "out tok", "cost USD", "ends after", "in flight")
    for m in outcome.models:
        grid.add_row(*_model(m, cached=cached))
    if len(outcome.models) > 1:
        grid.add_row(*_total(outcome, cached=cached))
    return grid


def _model(m: ModelOutcome, *, cached: bool) -> Iterator[str]:
    yield one_line(m.model, 40)
    yield count(round(m.jobs))
    yield count(round(m.calls))
    yield percent(m.refused / m.calls)
    yield short(m.input_tokens)
    if cached:
        yield short(m.cached_tokens)
        yield short(m.written_tokens)
    yield short(m.output_tokens)
    yield "unknown" if m.cost_usd is None else money(m.cost_usd)
    yield duration(m.ends_s)
    yield count(m.most_in_flight)


def _total(outcome: Outcome, *, cached: bool) -> Iterator[str]:
    yield "total"
    yield count(round(outcome.jobs))
    yield count(round(outcome.calls))
    yield percent(outcome.refused_share)
    yield short(sum(m.input_tokens for m in outcome.models))
    if cached:
        yield short(sum(m.cached_tokens for m in outcome.models))
        yield short(sum(m.written_tokens for m in outcome.models))
    yield short(sum(m.output_tokens for m in outcome.models))
    yield _cost(outcome)
    yield duration(outcome.duration_s)
    yield ""


def _groups(outcome: Outcome) -> Table:
    grid = _grid(
        "quota group", "requests a min", "input tok", "output tok", "binds", "429s by", left=1
    )
    grid.columns[4].justify = grid.columns[5].justify = "left"
    for group in outcome.groups:
        used = {b.meter.value: b for b in group.buckets}
        cells = [
            f"{percent(b.utilisation)} of {short(b.limit)}" if (b := used.get(m)) else "no limit"
            for m in ("requests", "input_tokens", "output_tokens")
        ]
        grid.add_row(one_line(group.group, 40), *cells, _bound(group), _refusals(group))
    return grid


def _bound(group: GroupOutcome) -> str:
    return _SHORT.get(group.binds, _WORDS[group.binds])


def _refusals(group: GroupOutcome) -> str:
    named = [
        f"{_WORDS.get(limit, limit)} {count(round(n))}"
        for limit, n in sorted(group.refused_by.items())
        if round(n)
    ]
    return ", ".join(named) or "-"


def _phases(outcome: Outcome) -> Iterator[str]:
    yield "what holds it back, over time:"
    several = len(outcome.groups) > 1
    for group in outcome.groups:
        name = f"{one_line(group.group, 40)}  " if several else ""
        for phase in group.phases:
            span = f"{_clock(phase.start_s)} - {_clock(phase.end_s)}"
            yield f"  {name}{span}  {_WORDS.get(phase.what, phase.what)}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600:d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def _judge(name: str, outcome: Outcome) -> str:
    cost = "an unknown price" if outcome.unpriced else f"{money(outcome.cost_usd)} USD"
    return (
        f"afterwards, judge {one_line(name, 40)} (runner grade): {many(round(outcome.calls), 'request')}, "
        f"{duration(outcome.duration_s)}, {cost}; {_SHORT.get(outcome.slowest.binds, _WORDS[outcome.slowest.binds])} binds"
    )


def _what_ifs(tried: Sequence[Tried], outcome: Outcome) -> Table:
    grid = _grid("what if", "duration", "change", "cost USD", "429s", "then binds")
    grid.columns[5].justify = "left"
    grid.add_row(
        "as configured",
        duration(outcome.duration_s),
        "",
        _cost(outcome),
        percent(outcome.refused_share),
        _bound(outcome.slowest),
    )
    for one in tried:
        other = one.outcome
        if other is None:
            grid.add_row(one.variant.what, "never ends", "", "", "", "")
            continue
        change = other.duration_s / outcome.duration_s - 1 if outcome.duration_s else 0.0
        same = abs(change) < _SAME
        grid.add_row(
            one_line(one.variant.what, 60),
            duration(other.duration_s),
            "none" if same else f"{change:+.0%}",
            _cost(other),
            percent(other.refused_share),
            _bound(other.slowest),
        )
    return grid


def _cost(outcome: Outcome) -> str:
    if not outcome.unpriced:
        return money(outcome.cost_usd)
    return f"{money(outcome.cost_usd)} + ?" if outcome.cost_usd else "unknown"


def as_json(done: Rehearsed) -> dict[str, object]:
    """Return the same as plain values; seconds, tokens, US dollars."""
    return {
        "name": done.name,
        "output": done.output,
        "workers": done.workers,
        **({} if done.outcome is None else _plain(done.outcome)),
        "judges": {name: _plain(outcome) for name, outcome in done.judges},
        "what_if": [
            {
                "what": t.variant.what,
                "how": t.variant.how or None,
                "outcome": None if t.outcome is None else _plain(t.outcome),
            }
            for t in done.tried
        ],
        "assumed": list(done.assumed),
    }


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "duration_s": outcome.duration_s,
        "jobs": outcome.jobs,
        "requests": outcome.calls,
        "refused_share": outcome.refused_share,
        "cost_usd": None if outcome.unpriced else outcome.cost_usd,
        "unpriced": list(outcome.unpriced),
        "simulated_jobs": outcome.simulated_jobs,
        "models": [asdict(m) for m in outcome.models],
        "groups": [{**asdict(g), "binds": g.binds} for g in outcome.groups],
    }
