"""The coordinator's actor as an ordinary object: what it does where its store is away at the start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.core.errors import StorageError
from runner.dispatch.ray_actors import CoordinatorActor, CoordinatorView
from runner.dispatch.spec import SweepSpec, new_name
from tests.support.cli_sweep import configuration
from tests.support.sessions import Sessions
from tests.support.standin import StandIn

pytestmark = pytest.mark.ray


async def _until(actor: CoordinatorActor, condition) -> CoordinatorView:
    async with asyncio.timeout(60):
        while not condition(view := await actor.look(0)):
            await asyncio.sleep(0.02)
        return view


@pytest.mark.parametrize("again", [True, False])
def test_store_away_at_the_start_is_waited_for_by_the_successor_of_a_dead_coordinator_alone(
    tmp_path: Path, server: StandIn, again: bool
) -> None:
    sessions = Sessions(tmp_path, "inprocess")
    prepared = sessions.prepare(configuration(server.url, jobs=4), None)
    in_the_way = tmp_path / "mount"
    in_the_way.write_text("no folder")
    spec = SweepSpec(
        book=prepared.book,
        directory=str(in_the_way / "out"),
        fleet=new_name("f"),
        preamble=prepared.preamble,
    )

    async def main() -> None:
        actor = CoordinatorActor()
        await actor.start(spec, again=again)
        if not again:
            view = await _until(actor, lambda v: v.error is not None)
            assert isinstance(view.error, StorageError)
            return
        view = await _until(actor, lambda v: v.lines)
        assert view.lines[0].startswith("the output is not reached, and tried again: ")
        assert not view.leads
        in_the_way.unlink()
        await _until(actor, lambda v: v.leads)
        await actor.drain(0.0)
        view = await _until(actor, lambda v: v.ended is not None)
        assert view.error is None

    asyncio.run(main())
