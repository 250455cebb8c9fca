"""`runner resume DIR`: go on with a sweep from what its directory says; no configuration file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_placement, choices_of, each_of

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("resume", help="go on with a sweep", description=__doc__)
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    parser.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="change a key for good: models.m1.stream=always; what changes recorded cells is refused",
    )
    add_placement(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    import asyncio

    from runner.pipeline.command import Placement, run_sweep
    from runner.pipeline.patience import when_there
    from runner.pipeline.prepare import read_configuration
    from runner.record.place import Place

    directory = Place(args.directory)
    return run_sweep(
        asyncio.run(when_there(lambda: read_configuration(directory, args.overrides))),
        directory,
        choices_of(args),
        Placement(workers=args.workers, address=args.address, each=each_of(args)),
    )
