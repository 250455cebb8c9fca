"""`runner grade DIR`: give verdicts on what has none, once or while the sweep runs.

Rows never change; verdicts lie in verdicts/<grader>@<digest>/. Run again, it grades what is new.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json, positive

if TYPE_CHECKING:
    from runner.cli.main import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "grade",
        help="give verdicts on what has none, once or as it is published",
        description=__doc__,
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory, finished or not")
    parser.add_argument(
        "--grader",
        metavar="NAME",
        action="append",
        default=[],
        help="only this grader, also one that no scenario lists; may be repeated",
    )
    parser.add_argument(
        "--graders",
        metavar="FILE",
        action="append",
        default=[],
        help="YAML with further `graders:`, which grade too unless --grader says otherwise, and `judges:`; "
        "may be repeated",
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on until the sweep's writer has let go of it"
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="owe the calls of judges that ended as dead letters again",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="go on with judges whose first answers were mostly worth nothing",
    )
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="S", help="seconds between two looks (2)"
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="grade with heavy Python graders on N processes of Ray Data (default: in this one)",
    )
    parser.add_argument(
        "--address", metavar="auto|HOST:PORT", help="Ray cluster for them (default: start one)"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Grade, then say what every row came to.

    Ends with the code of a stopped model, a used-up budget or of dead letters where judges left rows
    without verdicts.
    """
    import asyncio
    import json
    import sys

    from runner.config.load import load_graders
    from runner.core.errors import EXIT_ABORTED, EXIT_BUDGET, EXIT_INCOMPLETE, EXIT_OK
    from runner.pipeline.heavy import spread_over_ray
    from runner.pipeline.looking import looked
    from runner.pipeline.verdicts import Asked, count_verdicts, grade_directory
    from runner.record.place import Place, open_store
    from runner.report.screen import Line, Style, put
    from runner.report.tables import SIMULATED
    from runner.report.verdict_page import verdict_grids, verdict_json

    directory = Place(args.directory)
    further = tuple(load_graders(path) for path in args.graders)
    also = () if args.grader else tuple(g.name for config in further for g in config.graders)
    asked = Asked(
        names=tuple(args.grader),
        further=further,
        also=also,
        retry_failed=args.retry_failed,
        keep_going=args.keep_going,
    )

    def on_shard(grader: str, done: int, total: int) -> None:
        if done == total or done % 100 == 0:
            print(f"graded by {grader}: {done} of {total} new shards", file=sys.stderr)

    store = open_store(directory)
    spread = None
    if args.workers or args.address:
        spread = spread_over_ray(directory, asked, workers=args.workers, address=args.address)
    graded = asyncio.run(
        grade_directory(
            store,
            directory,
            asked,
            follow=args.follow,
            poll_s=args.every,
            on_shard=on_shard,
            spread=spread,
            say=lambda line: print(line, file=sys.stderr),
        )
    )
    counted = asyncio.run(count_verdicts(store, directory, asked, graded))
    simulated = asyncio.run(looked(store, directory))
    if args.json:
        print(json.dumps({**verdict_json(counted), "simulated": simulated}, indent=2))
    else:
        told = [Line(SIMULATED, Style.WARNING)] if simulated else []
        put([*told, *verdict_grids(counted, str(directory))], sys.stdout)
    if any(one.stopped for one in graded):
        return EXIT_ABORTED
    if any(one.unpaid for one in graded):
        return EXIT_BUDGET
    return EXIT_INCOMPLETE if any(one.failed for one in graded) else EXIT_OK
