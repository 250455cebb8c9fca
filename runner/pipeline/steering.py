"""`runner control`: changes on a live sweep, checked against its saved configuration.

`changed` is pure: what stands in the control object, the configuration and what is asked for give
the next control object. Every problem of one command is reported at once, and nothing is written
unless all of it can be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.config.quotas import groups_of, limits_rate
from runner.config.schema import SweepConfig, called
from runner.config.source import nearest
from runner.core.errors import ConfigError
from runner.observe.amounts import count, money
from runner.providers.price_list import tariffs_of
from runner.record.budget import budget_since
from runner.record.control import Control, read_control, write_control
from runner.record.place import Place, open_store
from runner.report.sweep import open_sweep

RATES = ("rpm", "itpm", "otpm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one command asks for."""

    pause: bool = False
    go_on: bool = False
    cancel: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    reset: bool = False
    """Forget every change first."""
    values: tuple[str, ...] = ()
    """`quotas.GROUP.rpm=N`, `models.NAME.quota.rpm=N`, `models.NAME.max_in_flight=N`, `budget.usd=N`."""

    @property
    def anything(self) -> bool:
        """Return whether it asks for a change at all."""
        return self != Asked()


def changed(control: Control, config: SweepConfig, asked: Asked, head: int = 0) -> Control:
    """Return the control object that carries out what is asked.

    Args:
        control: as it stands.
        config: of the sweep.
        asked: by the command.
        head: the last manifest entry.

    Raises:
        ConfigError: something of it names nothing in this sweep, or is no number that can be meant.
    """
    problems: list[str] = []
    after = Control() if asked.reset else control
    if asked.pause and asked.go_on:
        problems.append("--pause and --go-on contradict each other. Give one.")
    if asked.pause or asked.go_on:
        after = replace(after, paused=asked.pause)
    names = [m.name for m in called(config)]
    for option, models in (("--cancel", asked.cancel), ("--restore", asked.restore)):
        problems += [
            _problem(f"{option} {m}", f"this sweep has no model {m!r}. {nearest(m, names)}")
            for m in models
            if m not in names
        ]
    cancelled = dict.fromkeys((*after.cancelled, *asked.cancel))
    after = replace(after, cancelled=tuple(m for m in cancelled if m not in asked.restore))
    for text in asked.values:
        found = _value(after, config, text)
        if isinstance(found, str):
            problems.append(found)
        else:
            after = found
    if after.budget != control.budget:
        after = replace(after, budget_at=head)
    if problems:
        raise ConfigError(*problems)
    return after


async def steer(directory: Place, asked: Asked) -> tuple[Control, bool]:
    """Write what is asked for; returns what stands, and whether a process holds the sweep.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: see `changed`.
        RecordError: what lies there is damaged.
        StorageError: the store refuses.
    """
    store = open_store(directory)
    sweep = await open_sweep(store, directory)
    # With --reset, a damaged object may be replaced.
    control = Control() if asked.reset else await read_control(store)
    control = control.since(await budget_since(store))
    live = not sweep.state.is_free
    if asked.anything:
        control = changed(control, sweep.config, asked, sweep.state.head)
        await write_control(store, control)
    return control, live


def lines(control: Control) -> list[str]:
    """Return what is changed, a line each."""
    out = ["paused: nothing new is sent"] if control.paused else []
    out += [f"models.{model}: cancelled" for model in control.cancelled]
    out += [
        f"quotas.{group}.{key} = {count(int(value))}"
        for group, limits in control.quotas.items()
        for key, value in limits.items()
    ]
    out += [
        f"models.{model}.max_in_flight = {count(number)}"
        for model, number in control.max_in_flight.items()
    ]
    out += [
        f"budget.{unit} = {money(number)}" if unit == "usd" else f"budget.{unit} = {number:,.0f}"
        for unit, number in control.budget.items()
    ]
    return out or ["nothing is changed: the sweep runs as it was configured"]


def _value(control: Control, config: SweepConfig, text: str) -> Control | str:
    key, equals, raw = text.partition("=")
    _, uses = groups_of(config)
    try:
        number = float(raw.replace("_", ""))
    except ValueError:
        number = -1.0
    if not equals or not 0 < number < float("inf"):
        return _problem(text, "give KEY=NUMBER with a number above 0.")
    match key.split("."):
        case ["models", model, "quota", rate] if rate in RATES and model in uses:
            return _quota(control, config, key, (uses[model].group, rate), number)
        case ["quotas", group, rate] if rate in RATES:
            return _quota(control, config, key, (group, rate), number)
        case ["models", model, "max_in_flight"]:
            return _in_flight(control, config, key, model, number)
        case ["budget", "usd" | "tokens" as unit]:
            return _budget(control, config, unit, number)
        case _:
            known = (
                "quotas.GROUP.rpm|itpm|otpm, models.NAME.quota.rpm, models.NAME.max_in_flight, "
                "budget.usd, budget.tokens"
            )
            return _problem(key, f"cannot be changed on a live sweep. What can: {known}.")


def _in_flight(
    control: Control, config: SweepConfig, key: str, model: str, number: float
) -> Control | str:
    names = [m.name for m in called(config)]
    if model not in names:
        return _problem(key, f"this sweep has no model {model!r}. {nearest(model, names)}")
    if number != int(number):
        return _problem(f"{key}={number:g}", "give a whole number.")
    return replace(control, max_in_flight={**control.max_in_flight, model: int(number)})


def _quota(
    control: Control, config: SweepConfig, key: str, limit: tuple[str, str], number: float
) -> Control | str:
    group, rate = limit
    groups, _ = groups_of(config)
    if group not in groups:
        return _problem(key, f"this sweep has no quota group {group!r}. {nearest(group, groups)}")
    if not limits_rate(groups[group]):
        return _problem(
            key,
            "the group has no quota, and its workers wait for no permits. Change max_in_flight, "
            "or stop the sweep and give it a quota in its configuration.",
        )
    limits = {**control.quotas.get(group, {}), rate: number}
    return replace(control, quotas={**control.quotas, group: limits})


def _budget(control: Control, config: SweepConfig, unit: str, number: float) -> Control | str:
    key = f"budget.{unit}"
    if not config.budget.limited:
        return _problem(
            key,
            "the sweep runs without a budget, and its workers set nothing aside. Stop it and go on "
            f"with one: runner stop DIR, then runner resume DIR {key}={number:g}",
        )
    if unit == "tokens" and number != int(number):
        return _problem(f"{key}={number:g}", "give a whole number.")
    if unit == "usd":
        priced = tariffs_of(config)
        unpriced = [m.name for m in called(config) if m.name not in priced]
        if unpriced:
            return _problem(key, f"no price is known for {', '.join(unpriced)}.")
    return replace(control, budget={**control.budget, unit: number})


def _problem(where: str, text: str) -> str:
    return f"{where}: {text}"
