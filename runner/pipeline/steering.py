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
from runner.observe.amounts import count
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
    """`quotas.GROUP.rpm=N`, `models.NAME.quota.rpm=N`, `models.NAME.max_in_flight=N`."""

    @property
    def anything(self) -> bool:
        """Return whether it asks for a change at all."""
        return self != Asked()


def changed(control: Control, config: SweepConfig, asked: Asked) -> Control:
    """Return the control object that carries out what is asked.

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
    live = not sweep.state.is_free
    if asked.anything:
        control = changed(control, sweep.config, asked)
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
    return out or ["nothing is changed: the sweep runs as it was configured"]


def _value(control: Control, config: SweepConfig, text: str) -> Control | str:
    key, equals, raw = text.partition("=")
    parts = key.split(".")
    groups, uses = groups_of(config)
    try:
        number = float(raw.replace("_", ""))
    except ValueError:
        number = -1.0
    if not equals or not 0 < number < float("inf"):
        return _problem(text, "give KEY=NUMBER with a number above 0.")
    match parts:
        case ["models", model, "quota", rate] if rate in RATES and model in uses:
            group = uses[model].group
        case ["quotas", group, rate] if rate in RATES:
            pass
        case ["models", model, "max_in_flight"]:
            if model not in uses:
                return _problem(key, f"this sweep has no model {model!r}. {nearest(model, uses)}")
            if number != int(number):
                return _problem(text, "give a whole number.")
            most = {**control.max_in_flight, model: int(number)}
            return replace(control, max_in_flight=most)
        case _:
            known = "quotas.GROUP.rpm|itpm|otpm, models.NAME.quota.rpm, models.NAME.max_in_flight"
            return _problem(key, f"cannot be changed on a live sweep. What can: {known}.")
    if group not in groups:
        return _problem(key, f"this sweep has no quota group {group!r}. {nearest(group, groups)}")
    if not limits_rate(groups[group]):
        return _problem(
            key,
            "the group has no quota, and its workers wait for no permits. Change max_in_flight, "
            "or stop the sweep and give it a quota in its configuration.",
        )
    limits = {**control.quotas.get(group, {}), parts[-1]: number}
    return replace(control, quotas={**control.quotas, group: limits})


def _problem(where: str, text: str) -> str:
    return f"{where}: {text}"
