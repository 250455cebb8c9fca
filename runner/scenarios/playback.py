"""Plays a recorded rollout again: every state of its environment follows from script, seed and replies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runner.core.values import TARGET, Reply
from runner.scenarios.environments.protocol import State
from runner.scenarios.episode import EpisodeRollout
from runner.scenarios.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The course of an environment."""

    start: State
    after: tuple[State, ...]
    """One per turn of the model under test: once its calls were carried out and answered."""
    effects: Sequence[Mapping[str, Any]] = field(default=())
    """As the row has them."""
    whole: bool = True
    """Every reply found its place; else the record does not fit the scenario as it is now."""


def play_again(script: Script, seed: int, replies: Sequence[Reply]) -> Played | None:
    """Return the states of an episode; None where the condition has no environment.

    Args:
        script: of the condition.
        seed: of the job.
        replies: every reply of the rollout in order, those of other roles too.
    """
    if script.staging is None or script.staging.stage is None:
        return None
    rollout = EpisodeRollout(script, script.staging, seed)
    start = rollout.state
    states: list[State] = []
    ended = False
    for reply in replies:
        if ended or rollout.role != reply.role:
            return Played(start=start, after=tuple(states), whole=False)
        ended = rollout.answer(reply)
        if reply.role == TARGET and not reply.continues:
            states.append(rollout.state)
        elif states:
            states[-1] = rollout.state  # what somebody answered belongs to the turn before
    return Played(start=start, after=tuple(states), effects=rollout.notes().get("effects", ()))


def changes(before: object, after: object, at: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (path, value before, value after) of what differs; None where there was or is nothing."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, object]", before), cast("Mapping[str, object]", after)
        for key in dict.fromkeys((*old, *new)):
            yield from changes(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _of_lists(cast("Sequence[object]", before), cast("Sequence[object]", after), at)
    elif before != after:
        yield at, before, after


def _of_lists(
    old: Sequence[object], new: Sequence[object], at: str
) -> Iterator[tuple[str, object, object]]:
    """Compare lists of things with an id by that, others by position."""
    ids = [[_id(one) for one in side] for side in (old, new)]
    if None in ids[0] or None in ids[1] or any(len(set(side)) < len(side) for side in ids):
        for i in range(max(len(old), len(new))):
            before = old[i] if i < len(old) else None
            yield from changes(before, new[i] if i < len(new) else None, f"{at}[{i}]")
        return
    by_id = [
        dict(zip(side, values, strict=True)) for side, values in zip(ids, (old, new), strict=True)
    ]
    for key in dict.fromkeys((*ids[0], *ids[1])):
        yield from changes(by_id[0].get(key), by_id[1].get(key), f"{at}[{key}]")


def _id(value: object) -> str | None:
    """Return what names a thing in a list."""
    if not isinstance(value, Mapping):
        return None
    given = cast("Mapping[str, object]", value)
    return next((str(given[k]) for k in ("id", "name", "path", "address") if k in given), None)
