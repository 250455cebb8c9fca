"""`runner power`: from wishes to answers needed, or from a configuration to what it can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runner.config.load import load_config
from runner.core.errors import ConfigError
from runner.report.analysis import families_of, questions_of
from runner.report.grid import Grid
from runner.report.power_page import difference_line, needed_lines, plan_shows, shown_grid
from runner.report.screen import Line
from runner.scenarios.build import build_book
from runner.statistics.power import (
    answers_for_bound,
    answers_for_difference,
    bound_without_events,
    smallest_difference,
)

Page = tuple[list[Line | Grid], dict[str, object]]


def power_page(
    *,
    config: str | None,
    overrides: Sequence[str],
    rates: Sequence[float] | None,
    bound: float | None,
    answers: int | None,
    base: float,
    prompts: int,
    power: float,
    level: float,
) -> Page:
    """Return lines for people and values for programs; exactly one question is asked.

    Raises:
        ConfigError: the configuration cannot be used, or declares no contrast.
        ValueError: a rate, power or level that is none.
    """
    if rates is not None:
        n = answers_for_difference(rates[0], rates[1], power=power, level=level)
        what = f"{rates[0]:.4g} against {rates[1]:.4g}"
        said = needed_lines(n, what=what, prompts=prompts, power=power, level=level)
        return [Line(text) for text in said], {"answers_per_group": n, "prompts": prompts}
    if bound is not None:
        n = answers_for_bound(bound, level=level)
        what = f"no event, rate below {bound:.4g}"
        said = needed_lines(n, what=what, prompts=prompts, power=None, level=level)
        return [Line(text) for text in said], {"answers": n, "prompts": prompts}
    if answers is not None:
        below, above = smallest_difference(base, answers, power=power, level=level)
        values: dict[str, object] = {
            "answers_per_group": answers,
            "base": base,
            "below": below,
            "above": above,
            "bound_without_events": bound_without_events(answers, level=level),
        }
        return [Line(difference_line(base, answers, power=power, level=level))], values
    assert config is not None  # the command line asks for exactly one
    return _of_plan(config, overrides, power=power, level=level)


def _of_plan(config: str, overrides: Sequence[str], *, power: float, level: float) -> Page:
    loaded = load_config(Path(config), list(overrides)).config
    questions = questions_of(loaded)
    if not questions:
        msg = (
            f"{config}: declares no contrast. Add `analysis: {{contrasts: […]}}` "
            "(docs/statistics.md), or ask with --rates, --bound or --answers."
        )
        raise ConfigError(msg)
    # Weights need no hash to be counted.
    book = build_book(loaded, revisions={m.name: "-" for m in loaded.models})
    shown = plan_shows(book.plan, questions, families_of(loaded), power=power, level=level)
    values: dict[str, object] = {"questions": [asdict(s) for s in shown]}
    return [shown_grid(shown, power=power, level=level)], values
