"""Heavy Python graders over Ray Data: each actor opens the sweep once and grades whole shards.

An actor reads a shard from the sweep directory and puts the verdict file there, as a grading in one
process would; so the directory, and a grader's file, must be reachable under the same name on every
node. What an actor has imported must be what this process has: it compares the graders' digests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from runner.core.errors import SweepStateError
from runner.grade.registry import grader_digest
from runner.grade.run import Spread, card_of, cells_using, grade_shard
from runner.grade.verdict import Grader
from runner.pipeline.verdicts import Asked, open_course
from runner.record.place import Place, open_store
from runner.record.verdicts import verdict_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardGrading:
    """What travels to an actor; called there it opens the sweep."""

    directory: str
    """As every node calls it."""
    asked: Asked
    grader: str
    digest: str

    def __call__(self) -> Callable[[str], int]:
        """Return what grades one shard.

        Raises:
            SweepStateError: the grader is another one here.
            RunnerError: the sweep cannot be opened here.
        """
        store, place = open_store(self.directory), Place(self.directory)
        course = asyncio.run(open_course(store, place, self.asked))
        rule = course.graders.get(self.grader)
        if grader_digest(rule) != self.digest:
            msg = (
                f"grader {self.grader}: its source on this node is not that of the node where runner grade "
                "was started. Bring both up to date."
            )
            raise SweepStateError(msg)
        cells = cells_using(self.grader, course.gradings)
        card = card_of(rule, cells)

        def grade(shard: str) -> int:
            data = asyncio.run(store.get(shard))
            verdicts, rows = grade_shard(rule, cells, card, shard, data)
            asyncio.run(store.put(verdict_key(card, shard), verdicts))
            return rows

        return grade


def spread_over_ray(
    directory: Place, asked: Asked, *, workers: int | None, address: str | None
) -> Spread:
    """Return what grades shards with heavy graders on a cluster, or on a Ray of this machine.

    Args:
        directory: the sweep.
        asked: as for the grading itself.
        workers: actors; None: one for each CPU here.
        address: of a cluster.
    """

    def spread(rule: Grader, shards: Sequence[str]) -> AsyncIterator[tuple[str, int]]:
        import os

        from runner.dispatch.ray_backend import settle_environment

        settle_environment(local=address is None)
        from runner.dispatch.ray_data import over_cluster

        work = ShardGrading(
            directory=directory.absolute(),
            asked=asked,
            grader=rule.name,
            digest=grader_digest(rule),
        )
        count = workers or os.cpu_count() or 1
        return over_cluster(work, shards, workers=count, address=address)

    return spread
