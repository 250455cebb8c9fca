"""`runner sweep CONFIG`: create a sweep or continue it, until every job has its end state."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_placement

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("sweep", help="run a sweep, or go on with it", description=__doc__)
    add_configuration(parser)
    add_placement(parser)
    parser.add_argument(
        "--supersede",
        action="store_true",
        help="move rows of recorded cells that changed or vanished to superseded/, and go on",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from runner.config.load import load_config
    from runner.pipeline.command import Placement, run_sweep
    from runner.pipeline.prepare import Choices
    from runner.record.place import Place

    loaded = load_config(args.config, args.overrides)
    return run_sweep(
        loaded.config,
        Place(loaded.config.output or ""),
        Choices(retry_failed=args.retry_failed, supersede=args.supersede, take_over=args.take_over),
        Placement(workers=args.workers, address=args.address),
        source=loaded.source,
    )
