"""`runner compare A B`: the reports of two sweeps, and their cells side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from runner.config.schema import SweepConfig
from runner.core.errors import ConfigError
from runner.pipeline.reporting import make_reports
from runner.record.place import Place, open_store
from runner.report.analysis import parameters_of
from runner.report.contents import Report
from runner.report.two_sweeps import TwoSweeps, compare_sweeps
from runner.statistics.binomial import LEVEL


async def compare_directories(
    first: Place, second: Place, renamed: Mapping[str, str], *, level: float = LEVEL
) -> list[TwoSweeps]:
    """Return one comparison per grader that both use.

    Raises:
        SweepStateError: one of them holds no sweep.
        ConfigError: they are one and the same, or have no grader, or no cell, in common.
        RecordError: something is damaged.
        StorageError: one cannot be read.
    """
    if not renamed and _same(first, second):
        msg = (
            f"{first} and {second} are the same sweep, so that every difference is 0. Name another "
            "one, or compare two of its models: --models NAME=NAME."
        )
        raise ConfigError(msg)
    one = await make_reports(open_store(first), first, level=level)
    other = await make_reports(open_store(second), second, level=level)
    _refuse_models(one.sweep.plan.models, renamed, f"{first} (A)")
    _refuse_models(other.sweep.plan.models, renamed.values(), f"{second} (B)")
    parameters = (_sent(one.sweep.config), _sent(other.sweep.config))
    by_grader = {r.grader: r for r in other.reports if r.grader}
    found = [
        compare_sweeps(
            r,
            by_grader[r.grader],
            renamed,
            level,
            parameters=parameters,
            renamed_alone=_same(first, second),
        )
        for r in one.reports
        if r.grader in by_grader
    ]
    if not found:
        msg = (
            f"{first} and {second}: no grader in common "
            f"({_graders(one.reports)} there, {_graders(other.reports)} here)."
        )
        raise ConfigError(msg)
    if not any(f.pairs for f in found):
        models = ", ".join(sorted({r.model for r in other.reports[0].rows}))
        msg = (
            f"{first} and {second}: no cell in common by scenario, condition and model. Where a "
            f"model has another name, say so: --models NAME=NAME (models of B: {models})."
        )
        raise ConfigError(msg)
    return found


def _sent(config: SweepConfig) -> dict[str, dict[str, str]]:
    """Return the request parameters of each model, and which model at which endpoint it is."""
    known = parameters_of(config)
    for model in config.models:
        known[model.name] |= {"model": model.model, "endpoint": str(model.base_url or "default")}
    return known


def _same(first: Place, second: Place) -> bool:
    if first.is_remote or second.is_remote:
        return str(first) == str(second)
    return os.path.realpath(first) == os.path.realpath(second)


def _refuse_models(there: Sequence[str], named: Iterable[str], which: str) -> None:
    unknown = [name for name in named if name not in there]
    if unknown:
        msg = f"--models: {unknown[0]!r} is no model of {which}. It has: {', '.join(there)}."
        raise ConfigError(msg)


def _graders(reports: Sequence[Report]) -> str:
    return ", ".join(r.grader for r in reports if r.grader) or "none"
