"""`runner control DIR`: pause a live sweep, change its quotas or its budget, take a model out.

What is asked for holds for this sweep, over restarts too, until it is changed again; `--reset`
gives everything back. Without a change, what stands is printed. A paused sweep sends nothing new;
what is on the wire is answered and recorded. A cancelled model that is restored runs again from the
next `runner sweep` or `runner resume`. A budget that `runner resume DIR budget.usd=N` sets later counts
instead of an earlier one from here.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "control",
        help="pause a live sweep, change its quotas or budget, cancel a model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    parser.add_argument(
        "overrides",
        metavar="KEY=NUMBER",
        nargs="*",
        default=[],
        help="quotas.GROUP.rpm (itpm, otpm), models.NAME.quota.rpm, models.NAME.max_in_flight, "
        "budget.usd, budget.tokens",
    )
    parser.add_argument("--pause", action="store_true", help="send nothing new")
    parser.add_argument("--go-on", action="store_true", help="end a pause")
    parser.add_argument(
        "--cancel", metavar="MODEL", action="append", default=[], help="run no more of this model"
    )
    parser.add_argument(
        "--restore", metavar="MODEL", action="append", default=[], help="take a --cancel back"
    )
    parser.add_argument("--reset", action="store_true", help="forget every earlier change first")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Change what is asked for; print what stands."""
    import asyncio
    import json
    import shlex

    from runner.observe.console import print_lines
    from runner.pipeline.steering import Asked, lines, steer
    from runner.record.place import Place

    asked = Asked(
        pause=args.pause,
        go_on=args.go_on,
        cancel=tuple(args.cancel),
        restore=tuple(args.restore),
        reset=args.reset,
        values=tuple(args.overrides),
    )
    control, live = asyncio.run(steer(Place(args.directory), asked))
    if args.json:
        print(json.dumps({"live": live, **control.values()}, indent=2))
        return 0
    where = shlex.quote(args.directory)
    if not live:
        then = f"no process holds the sweep: it counts from the next start (runner resume {where})"
    elif asked.anything:
        then = f"the sweep obeys within seconds. Watch it: runner status {where}"
    else:
        then = f"watch it: runner status {where}"
    print_lines([*lines(control), then])
    return 0
