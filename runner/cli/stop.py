"""`runner stop DIR`: ask the process that runs a sweep to finish what is in flight and end."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "stop", help="stop a running sweep in order, from any terminal", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Leave the request; the coordinator reads it within seconds."""
    import asyncio
    import shlex

    from runner.core.errors import SweepStateError
    from runner.record.control import ask_to_stop
    from runner.record.place import Place, open_store

    directory = Place(args.directory)
    claim = asyncio.run(ask_to_stop(open_store(directory)))
    where = shlex.quote(args.directory)
    if claim is None:
        msg = f"{directory}: nothing to stop. See: runner status {where}"
        raise SweepStateError(msg)
    print(f"asked; it finishes what is in flight and ends. Watch it: runner status {where}")
    return 0
