"""The log of looks: who has seen rates when, so that what was decided afterwards can be told.

    report/looks/<8 digits>.json   {"at", "plan_version", "recorded", "questions": {digest: name}}

Stopping when the numbers please, adding seeds after a look, and asking a question that the look
suggested all make intervals and tests say more than they know. None is forbidden; each is noted
beside the rates it touches. A look that saw what the one before it saw is not logged again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from runner.core.errors import RecordError
from runner.core.identity import digest
from runner.core.seams import KeyExistsError, Store
from runner.plan.cells import Plan
from runner.record.plan_file import read_plan
from runner.report.questions import Question

LOOKS = "report/looks/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the rates."""

    at: str
    """ISO 8601, UTC."""
    plan_version: int
    recorded: int
    """Jobs recorded by then."""
    questions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Digest to name of each question that was declared by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Seeds that were added after rates had been seen."""

    at: str
    """When the look was."""
    seen: int
    """Jobs recorded by then."""
    cells: frozenset[int]
    added: int
    """Jobs added in these cells."""


def question_digest(question: Question) -> str:
    """Return what stays equal while a question asks the same, whatever its name."""
    asked = {
        "a": {axis: sorted(levels) for axis, levels in question.a.items()},
        "b": {axis: sorted(levels) for axis, levels in question.b.items()},
        "model": question.model,
        "outcome": question.outcome,
        "grader": question.grader,
    }
    return digest(asked)[:16]


async def read_looks(store: Store) -> list[Look]:
    """Return the looks so far, oldest first.

    Raises:
        RecordError: one of them is damaged.
        StorageError: the directory cannot be read.
    """
    out: list[Look] = []
    for key in await store.list(LOOKS):
        try:
            raw = cast("dict[str, object]", json.loads(await store.get(key)))
            out.append(
                Look(
                    at=str(raw["at"]),
                    plan_version=int(cast("int", raw["plan_version"])),
                    recorded=int(cast("int", raw["recorded"])),
                    questions=cast("dict[str, str]", raw["questions"]),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{key}: not a log of a look ({error}). Restore it from a copy of the sweep."
            raise RecordError(msg) from error
    return out


async def log_look(store: Store, looks: Sequence[Look], look: Look) -> None:
    """Log a look, unless the last one saw the same.

    Raises:
        StorageError: the directory refuses.
    """
    if looks:
        last = looks[-1]
        if (last.plan_version, last.recorded, last.questions) == (
            look.plan_version, look.recorded, look.questions,
        ):  # fmt: skip
            return
    number = len(looks) + 1
    while True:
        try:
            await store.create(f"{LOOKS}{number:08d}.json", json.dumps(asdict(look)).encode())
        except KeyExistsError:  # another report at the same moment
            number += 1
        else:
            return


async def top_ups(store: Store, looks: Sequence[Look], plan: Plan) -> list[TopUp]:
    """Return which cells got seeds after a look, one value per plan that was looked at.

    Raises:
        RecordError: an older plan is damaged.
        StorageError: the directory cannot be read.
    """
    last: dict[int, Look] = {}
    for look in looks:
        if look.plan_version < plan.version and look.recorded:
            last[look.plan_version] = look
    out: list[TopUp] = []
    for version, look in sorted(last.items()):
        old = (await read_plan(store, version)).plan
        grown = {
            c.number: len(c.seeds) - len(old.cell(c.number).seeds)
            for c in plan.cells
            if c.number in old and len(c.seeds) > len(old.cell(c.number).seeds)
        }
        if grown:
            out.append(
                TopUp(
                    at=look.at,
                    seen=look.recorded,
                    cells=frozenset(grown),
                    added=sum(grown.values()),
                )
            )
    return out


def declared_late(looks: Sequence[Look], question: Question) -> str | None:
    """Return when rates were seen before a question was declared, None where none were."""
    wanted = question_digest(question)
    for look in looks:
        if look.recorded and wanted not in look.questions:
            return look.at
    return None
