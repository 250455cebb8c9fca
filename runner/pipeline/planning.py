"""What `runner plan` and `runner lint` show: everything that can be known before spending.

The plan comes through `prepare`, as that of `runner sweep` does, so what is printed is what would
be done. Reads, never writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from runner.config.load import Loaded
from runner.config.schema import ProviderKind, SweepConfig, called
from runner.core.clock import SystemClock
from runner.core.errors import ConfigError
from runner.pipeline.estimating import estimates_of
from runner.pipeline.grading import check_graders
from runner.pipeline.prepare import Choices, Prepared, prepare
from runner.plan.estimate import ModelEstimate
from runner.providers.open import problems_of
from runner.providers.price_list import all_models, contexts_of
from runner.record.place import Place
from runner.scenarios.build import build_book
from runner.scenarios.findings import Finding, Findings
from runner.scenarios.lint import lint


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A configuration held against what its directory has recorded."""

    loaded: Loaded
    prepared: Prepared
    estimates: tuple[ModelEstimate, ...]
    """Per model, for what is owed."""


async def plan_sweep(loaded: Loaded) -> Planned:
    """Work out what `runner sweep` would do, live sweep or not.

    Raises:
        ConfigError: the scenarios cannot be rendered or the models not used.
        CellsChangedError: recorded cells changed or vanished.
        RecordError: the directory is damaged or of a newer release.
        StorageError: it cannot be read.
    """
    config = loaded.config
    directory = Place(output_of(config))
    # A holder does not matter to somebody who only looks.
    prepared = await prepare(config, directory, Choices(take_over=True), source=loaded.source)
    estimates = await estimates_of(prepared)
    return Planned(loaded=loaded, prepared=prepared, estimates=estimates)


def output_of(config: SweepConfig) -> str:
    """Return the sweep directory of a loaded configuration."""
    return config.output or f"outputs/{config.name}"


def lint_all(loaded: Loaded) -> list[Finding]:
    """Return what scenarios, providers and graders find wrong; keys need not be set."""
    config, source = loaded.config, loaded.source
    today = datetime.fromtimestamp(SystemClock().wall(), UTC).date()
    found = lint(
        config, source, today=today, retires=_retirements(config), contexts=contexts_of(config)
    )
    further = Findings(source)
    for model in config.models:
        keys = {model.api_key_env: "set"} if model.api_key_env else {}
        for problem in problems_of(model, keys):
            key, _, what = problem.partition(": ")
            further.problem(key, what)
    unhashed = {m.name: "-" for m in called(config)}  # lint judges texts: weights stay unread
    try:
        book = build_book(config, revisions=unhashed)
    except ConfigError:  # what does not render is among the findings
        pass
    else:
        check_graders(book, further)
    return [*found, *further.all]


def _retirements(config: SweepConfig) -> Mapping[str, date]:
    """Return the days that the Anthropic SDK names; it is loaded only where its models are called."""
    if all(m.provider is not ProviderKind.anthropic for m in all_models(config)):
        return {}
    from runner.providers.anthropic_api import retirements  # 1.5 s

    return retirements()
