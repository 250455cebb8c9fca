"""Loading a configuration: files and overrides in, checked values out, or every problem at once.

Steps: compose (files to one tree), secrets, typing against the schema, checks, defaults that
depend on other keys. The environment is read for one purpose only: to refuse its secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.config.check import check, check_graders
from runner.config.compose import compose, split_defaults, under_models
from runner.config.quotas import expand_short_forms, fill_in, with_quota_expanded
from runner.config.resolved import digest_of, dump_resolved, load_resolved
from runner.config.schema import ModelConfig, ProviderKind, SweepConfig
from runner.config.secrets import find_secrets
from runner.config.seeding import SeedsError, parse_seeds
from runner.config.source import Judge, Problems, Source, Where
from runner.config.typed import Typing, to_config
from runner.config.yaml_tree import Node
from runner.core.errors import ConfigError
from runner.core.seeds import SeedSet

__all__ = ["Loaded", "dump_resolved", "load_config", "load_graders", "load_resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that can be used, and where each of its keys was written."""

    config: SweepConfig
    seeds: SeedSet
    source: Source
    digest: str
    """SHA-256 of the resolved text: equal for equal meaning, however the files are laid out."""
    text: str
    """The resolved configuration as YAML, without what only describes this run."""


def load_config(
    path: str | Path, overrides: Sequence[str] = (), *, environ: Mapping[str, str] | None = None
) -> Loaded:
    """Load, merge, check and freeze a configuration.

    Args:
        path: the configuration file; files it names are relative to it.
        overrides: `key=value`, applied in order after all files.
        environ: whose secrets must not occur in the configuration; None: this process's.

    Raises:
        ConfigError: with every problem found, each `file:line  key: what. What to do.`
    """
    problems = Problems()
    root = Where(str(path))
    tree = compose(Path(path), overrides, problems)
    if problems.incomplete:
        raise ConfigError(*problems.lines)
    find_secrets(
        tree,
        os.environ if environ is None else environ,
        lambda node, key, text: problems.add(node.where, key, text),
    )
    typing = Typing(problems)
    tree, defaults = split_defaults(tree)
    if defaults is not None:
        defaults = with_quota_expanded(defaults)
        typing.fields_of(defaults, ModelConfig, "model_defaults")
        tree = under_models(tree, _usable_defaults(defaults, problems))
    tree = expand_short_forms(tree)
    plain = typing.fields_of(tree, SweepConfig, "")
    source = Source(root, typing.places)
    seeds = SeedSet()
    config = to_config(plain)
    if not problems.under("seeds"):
        try:
            seeds = parse_seeds(config.seeds)
        except SeedsError as error:
            problems.add(source.where("seeds"), "seeds", str(error))
    judge = Judge(problems, source)
    check(config, judge)
    if problems.lines:
        raise ConfigError(*problems.lines)
    _fill_in(config)
    fill_in(config, judge)
    text = dump_resolved(config)
    return Loaded(config=config, seeds=seeds, source=source, digest=digest_of(text), text=text)


def load_graders(path: str | Path, *, environ: Mapping[str, str] | None = None) -> SweepConfig:
    """Load a file of graders for a sweep that is recorded already: `graders:` and `judges:` only.

    Returns:
        A configuration without scenarios and models.

    Raises:
        ConfigError: with every problem found.
    """
    problems = Problems()
    root = Where(str(path))
    tree = compose(Path(path), [], problems)
    if problems.incomplete:
        raise ConfigError(*problems.lines)
    find_secrets(
        tree,
        os.environ if environ is None else environ,
        lambda node, key, text: problems.add(node.where, key, text),
    )
    for key in tree.entries:
        if key not in ("graders", "judges"):
            text = "has no place in a file of graders: only `graders:` and `judges:`. Remove it."
            problems.add(tree.entries[key].where, key, text)
    typing = Typing(problems)
    kept = {k: v for k, v in tree.entries.items() if k in ("graders", "judges")}
    kept = expand_short_forms(Node(kept, tree.where)).entries
    plain = typing.fields_of(Node(kept, tree.where), SweepConfig, "")
    config = to_config(plain)
    judge = Judge(problems, Source(root, typing.places))
    check_graders(config, judge, alone=True)
    if problems.lines:
        raise ConfigError(*problems.lines)
    _fill_in(config)
    fill_in(config, judge)
    return config


def _usable_defaults(defaults: Node, problems: Problems) -> Node:
    """Leave out what is wrong with the defaults, so that it is not said again for each model."""
    if "name" in defaults.entries:
        text = "every model needs a name of its own. Remove it here."
        problems.add(defaults.entries["name"].where, "model_defaults.name", text)
    kept = {
        key: value
        for key, value in defaults.entries.items()
        if not problems.under(f"model_defaults.{key}")
    }
    return Node(kept, defaults.where)


def _wrap(config: SweepConfig) -> None:
    """Put the sweep's safeguards around every scenario, as an axis of its own."""
    for scenario in config.scenarios if config.safeguards else ():
        if "safeguards" in scenario.axes:
            continue  # has one already, or was resolved before
        scenario.axes["safeguards"] = ["off", "on"]
        for guard in config.safeguards:
            only_on = "{{ safeguards == 'on' }}"
            scenario.safeguards.append(replace(guard, when=guard.when or only_on))


def _fill_in(config: SweepConfig) -> None:
    """Fill in the defaults that depend on other keys."""
    _wrap(config)
    if config.output is None:
        config.output = f"outputs/{config.name}"
    for model in (*config.models, *config.judges, *config.actors):
        if model.provider is ProviderKind.local and not model.model:
            model.model = model.name
