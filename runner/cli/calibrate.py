"""`runner calibrate DIR`: what the labels of `runner review` say of the graders and of the rates.

Precision, recall and agreement of each grader, weighted by selection, and per scenario and model the
rate by double sampling, which no longer rests on the grader being right. Changes nothing.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import check_level

if TYPE_CHECKING:
    from runner.cli.main import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "calibrate", help="graders against human labels, and calibrated rates", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory, finished or not")
    parser.add_argument(
        "--grader", metavar="NAME", help="whose newest sample (default: the newest of all)"
    )
    parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals, 0.95")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of tables")
    form.add_argument("--csv", action="store_true", help="print one CSV row per scenario × model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the calibration."""
    import asyncio
    import json
    import sys

    from runner.core.errors import EXIT_OK
    from runner.pipeline.calibrating import calibrate
    from runner.pipeline.looking import looked
    from runner.record.place import Place, open_store
    from runner.report.screen import put
    from runner.review.calibration_page import (
        calibration_csv,
        calibration_lines,
        calibration_values,
    )

    check_level(args.level)
    directory = Place(args.directory)
    store = open_store(directory)
    found = asyncio.run(calibrate(store, directory, grader=args.grader, level=args.level))
    if args.json:
        print(json.dumps(calibration_values(found), indent=2))
    elif args.csv:
        sys.stdout.write(calibration_csv(found))
    else:
        put(calibration_lines(found, [found.grader]), sys.stdout)
    asyncio.run(looked(store, directory))
    return EXIT_OK
