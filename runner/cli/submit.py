"""`runner submit CONFIG --address http://HEAD:8265`: run a sweep as a job of a Ray cluster.

Follows what it prints; Ctrl-C stops following, not the job. The same command again follows the job
that runs, or continues the sweep in a new one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_each, add_spending, positive

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "submit", help="run a sweep as a job of a Ray cluster", description=__doc__
    )
    add_configuration(parser)
    parser.add_argument(
        "--address",
        required=True,
        metavar="URL",
        help="of the cluster's dashboard: http://HEAD:8265",
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="run on N Ray workers")
    parser.add_argument("--detach", action="store_true", help="do not follow what the job prints")
    add_each(parser)
    add_spending(parser)
    parser.add_argument(
        "--command", default="runner", metavar="PATH", help="how the nodes call this program"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Submit it; returns the exit code of the job's command."""
    import asyncio
    import sys

    from runner.config.load import load_config
    from runner.pipeline.submitting import Submission, submit

    def say(line: str) -> None:
        print(line)
        sys.stdout.flush()

    allowed = {
        "--retry-failed": args.retry_failed,
        "--yes": args.yes,
        "--keep-going": args.keep_going,
    }
    asked = Submission(
        address=args.address,
        detach=args.detach,
        workers=args.workers,
        command=args.command,
        flags=(
            *(f"--each={name}={amount:g}" for name, amount in args.each),
            *(flag for flag, given in allowed.items() if given),
        ),
    )
    return asyncio.run(submit(load_config(args.config, args.overrides), asked, say))
