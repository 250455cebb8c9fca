"""Driver sessions inside the test's own process, on either backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.config.load import load_config
from runner.dispatch.backend import Backend
from runner.dispatch.inprocess import InProcessBackend
from runner.dispatch.spec import SweepSpec, new_name
from runner.observe.progress import Progress
from runner.pipeline.prepare import Choices, Prepared, prepare
from runner.pipeline.sweep import SessionEnd, run_session
from runner.record.place import Place


class Screen:
    """Remembers what a user would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seen: list[Progress] = []

    def update(self, progress: Progress) -> None:
        """Keep it."""
        self.seen.append(progress)

    def say(self, *lines: str) -> None:
        """Keep them."""
        self.lines += lines


class Sessions:
    """One sweep directory, and sessions on it one after the other."""

    def __init__(self, folder: Path, kind: str, *, workers: int = 2, start_s: float = 60) -> None:
        self.directory = folder / "out"
        self.screen = Screen()
        self.start_s = start_s
        self.workers = workers
        self._file = folder / "sweep.yaml"
        self._kind = kind

    def prepare(self, config: dict[str, Any], choices: Choices | None = None) -> Prepared:
        """Work out a session."""
        self._file.write_text(json.dumps(config))
        loaded = load_config(str(self._file), [])
        made = prepare(
            loaded.config, Place(self.directory), choices or Choices(), source=loaded.source
        )
        return asyncio.run(made)

    def run(
        self,
        config: dict[str, Any],
        *,
        choices: Choices | None = None,
        stop_when: Callable[[], bool] | None = None,
    ) -> SessionEnd:
        """Run a session; where `stop_when` becomes true, as if Ctrl-C had been pressed once."""
        prepared = self.prepare(config, choices)
        return asyncio.run(self._session(prepared, stop_when))

    async def _session(
        self, prepared: Prepared, stop_when: Callable[[], bool] | None
    ) -> SessionEnd:
        grace_s = prepared.book.config.engine.grace_s
        tasks: list[asyncio.Task[None]] = []

        def on_signal(hit: Callable[[], None]) -> Callable[[], None]:
            async def press() -> None:
                while not await asyncio.to_thread(stop_when):
                    await asyncio.sleep(0.02)
                hit()

            if stop_when is not None:
                tasks.append(asyncio.ensure_future(press()))
            return lambda: [task.cancel() for task in tasks] and None

        return await run_session(
            self._backend(prepared), self.screen, grace_s=grace_s, on_signal=on_signal
        )

    def _backend(self, prepared: Prepared) -> Backend:
        spec = SweepSpec(
            book=prepared.book,
            directory=str(prepared.directory),
            fleet=new_name("f"),
            preamble=prepared.preamble,
        )
        if self._kind == "inprocess":
            return InProcessBackend(spec, self.screen.say)
        from runner.dispatch.ray_backend import RayBackend

        return RayBackend(
            spec, self.screen.say, workers=self.workers, address="auto", start_s=self.start_s
        )
