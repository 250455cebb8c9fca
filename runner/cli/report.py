"""`runner report DIR`: grade what is new, then end states and rates with their intervals."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import check_level

if TYPE_CHECKING:
    from runner.cli.main import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "report", help="grade what is new, then end states and rates", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory, finished or not")
    parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals, 0.95")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of tables")
    form.add_argument("--csv", action="store_true", help="print one CSV row per condition × model")
    form.add_argument(
        "--html", action="store_true", help="write one page that opens offline, and its figures"
    )
    form.add_argument("--svg", action="store_true", help="write the figures alone")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="where to write (default: DIR/report; ./report for an object store)",
    )
    parser.add_argument(
        "--samples", type=int, default=300, metavar="N", help="transcripts on the page, 300"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    import asyncio
    import json
    import sys
    from pathlib import Path

    from runner.core.errors import EXIT_OK
    from runner.pipeline.reporting import make_reports
    from runner.pipeline.watching import budget_at_rest
    from runner.record.place import Place, open_store
    from runner.report.page import csv_page, json_page, screen_page
    from runner.report.screen import put
    from runner.review.calibration_page import calibration_grids, calibration_values

    check_level(args.level)
    directory = Place(args.directory)

    def on_shard(grader: str, done: int, total: int) -> None:
        if done == total or done % 100 == 0:
            print(f"graded by {grader}: {done} of {total} new shards", file=sys.stderr)

    store = open_store(directory)
    # A page of a sweep on an object store goes beside the user, not into the local copy.
    own = Path("report") if directory.is_remote else Path(directory) / "report"
    folder = Path(args.out) if args.out else own
    made = asyncio.run(make_reports(store, directory, level=args.level, on_shard=on_shard))
    budget = budget_at_rest(made.sweep)
    if args.json:
        found = made.calibration
        calibrated = None if found is None else calibration_values(found)
        reports = json_page(made.reports, made.spent, budget)
        print(json.dumps({**reports, "calibration": calibrated}, indent=2))
    elif args.csv:
        sys.stdout.write(csv_page(made.reports))
    elif args.html:
        from runner.pipeline.report_page import write_page

        written = asyncio.run(write_page(store, directory, made, folder, samples=args.samples))
        print(written.page)
    elif args.svg:
        from runner.pipeline.report_page import figures_of, write_figures

        print(*write_figures(figures_of(made), folder), sep="\n")
    else:
        grids = calibration_grids(made.calibration) if made.calibration else []
        put(screen_page(made.reports, made.spent, budget, made.calibration_note, grids), sys.stdout)
    return EXIT_OK
