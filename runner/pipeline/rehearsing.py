"""What `runner rehearse` shows: the user's plan in virtual time, and what would change it.

The plan comes through `prepare`, as that of `runner sweep` does; what is assumed beside it is the
matter of `assuming.py`. Reads, never writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.config.load import Loaded
from runner.core.errors import ConfigError
from runner.pipeline.assuming import Given, Stage
from runner.pipeline.casting import recorded
from runner.pipeline.planning import output_of
from runner.pipeline.prepare import Choices, prepare
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.rehearse.outcome import Outcome
from runner.rehearse.rehearsal import EndlessError
from runner.rehearse.sample import Sampling, rehearse
from runner.rehearse.scene import Scene
from runner.rehearse.whatif import Variant, variants


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A change and what it would bring."""

    variant: Variant
    outcome: Outcome | None
    """None: it would not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """Everything that is shown."""

    name: str
    output: str
    workers: int
    outcome: Outcome | None
    """None: nothing is owed."""
    judges: tuple[tuple[str, Outcome], ...] = ()
    """By name; afterwards, with `runner grade`."""
    tried: tuple[Tried, ...] = ()
    assumed: tuple[str, ...] = ()
    """In words, where each number comes from."""


async def rehearse_sweep(loaded: Loaded, given: Given, *, what_ifs: bool = True) -> Rehearsed:
    """Rehearse what `runner sweep` would do.

    Args:
        loaded: the configuration.
        given: what the command line says beside it.
        what_ifs: rehearse changes, too.

    Raises:
        ConfigError: the scenarios cannot be rendered, a model is not there, or it would never end.
        CellsChangedError: recorded cells changed or vanished.
        RecordError: the directory is damaged or of a newer release.
        StorageError: it cannot be read.
    """
    config = loaded.config
    directory = Place(output_of(config))
    # A holder does not matter to somebody who only looks.
    prepared = await prepare(config, directory, Choices(take_over=True), source=loaded.source)
    state = await load_state(open_store(directory))
    stage = Stage(prepared, state, await recorded(directory, state), given)
    scene = stage.scene()
    if not scene.plan.jobs:
        return Rehearsed(
            name=config.name, output=str(directory), workers=given.workers, outcome=None
        )
    try:
        outcome, sampling = rehearse(scene)
        judges = tuple((name, rehearse(of)[0]) for name, of in stage.judges(scene))
    except EndlessError:
        msg = (
            f"{loaded.source.root}: with these limits the sweep would never end: nothing came "
            "through for hours. Look at `quota`, `max_in_flight` and --server."
        )
        raise ConfigError(msg) from None
    tried = [_try(v, sampling) for v in variants(scene, outcome)] if what_ifs else []
    return Rehearsed(
        name=config.name,
        output=str(directory),
        workers=given.workers,
        outcome=outcome,
        judges=judges,
        tried=tuple(tried),
        assumed=tuple(dict.fromkeys(stage.assumed)),
    )


def _try(variant: Variant, sampling: Sampling) -> Tried:
    scene: Scene = variant.scene
    try:
        return Tried(variant=variant, outcome=rehearse(scene, sampling)[0])
    except EndlessError:
        return Tried(variant=variant, outcome=None)
