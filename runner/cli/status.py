"""`runner status DIR`: how a sweep stands, while it runs and after it ended or died."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json

if TYPE_CHECKING:
    from runner.cli.main import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "status", help="how a sweep stands, from any terminal", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the state, the table and the next command."""
    import asyncio
    import json
    import sys

    from runner.core.clock import SystemClock
    from runner.core.errors import EXIT_OK
    from runner.core.process import LinuxProcesses
    from runner.observe.console import print_lines, screen_width
    from runner.observe.progress import lines, rest_lines
    from runner.observe.quotas import history_lines
    from runner.pipeline.judges_at_work import judge_lines
    from runner.pipeline.watching import look
    from runner.record.place import Place, open_store

    directory = Place(args.directory)
    found = asyncio.run(look(open_store(directory), directory, LinuxProcesses(), SystemClock()))
    if args.json:
        print(json.dumps(found.values(), indent=2))
        return EXIT_OK
    width = screen_width() if sys.stdout.isatty() else 200
    # Of a sweep that no process runs there is nothing that flows to show.
    screen = lines if found.state == "live" else rest_lines
    quotas = history_lines(found.quotas)
    judges = judge_lines(found.judges)
    print_lines([found.sentence, *screen(found.progress, width), *judges, *quotas, *found.next])
    return EXIT_OK
