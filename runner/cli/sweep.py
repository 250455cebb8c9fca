"""`runner sweep CONFIG`: create a sweep or continue it, until every job has its end state."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_placement, choices_of, each_of

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
    parser.add_argument(
        "--as-job",
        action="store_true",
        help="exit code 0 also where running it again would not help: after `runner stop`, with dead "
        "letters or a stopped model, with a budget that is used up",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit code."""
    from runner.config.load import load_config
    from runner.pipeline.command import Placement, run_sweep
    from runner.record.place import Place

    loaded = load_config(args.config, args.overrides)
    return run_sweep(
        loaded.config,
        Place(loaded.config.output or ""),
        choices_of(args),
        Placement(
            workers=args.workers, address=args.address, each=each_of(args), as_job=args.as_job
        ),
        source=loaded.source,
    )
