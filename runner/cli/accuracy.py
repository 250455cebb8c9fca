"""`runner accuracy FILE …`: precision and recall of the rule graders on gold transcripts.

Prints Markdown, blind items and seen ones apart, with exact intervals and every error.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json

if TYPE_CHECKING:
    from runner.cli.main import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "accuracy",
        help="precision and recall of the rule graders on gold transcripts",
        description=__doc__,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="configs/gold/*.txt")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Grade the gold items and print how that went."""
    import json
    from dataclasses import asdict
    from pathlib import Path

    from runner.core.errors import EXIT_OK
    from runner.pipeline.accuracy import measure
    from runner.report.accuracy_page import accuracy_lines

    measured = measure([Path(f) for f in args.files])
    if args.json:
        print(json.dumps([asdict(one) for one in measured], indent=2, default=sorted))
    else:
        print("\n".join(accuracy_lines(measured)).rstrip())
    return EXIT_OK
