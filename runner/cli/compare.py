"""`runner compare A B`: two sweeps, cell by cell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json, check_level, positive

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("compare", help="two sweeps, cell by cell", description=__doc__)
    parser.add_argument("first", metavar="A", help="sweep directory")
    parser.add_argument("second", metavar="B", help="sweep directory")
    parser.add_argument(
        "--models", default="", metavar="A=B,…", help="models that have another name in B"
    )
    parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals, 0.95")
    parser.add_argument("-n", type=positive, default=40, metavar="N", help="cells shown")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    import asyncio
    import json
    import sys

    from runner.core.errors import EXIT_OK, ConfigError
    from runner.pipeline.comparing import compare_directories
    from runner.record.place import Place
    from runner.report.screen import put
    from runner.report.two_sweeps import comparison_page, comparison_values

    check_level(args.level)
    renamed: dict[str, str] = {}
    for pair in filter(None, args.models.split(",")):
        a, equals, b = pair.partition("=")
        if not equals or not a or not b:
            msg = f"--models {pair}: write NAME_IN_A=NAME_IN_B."
            raise ConfigError(msg)
        renamed[a] = b
    found = asyncio.run(
        compare_directories(Place(args.first), Place(args.second), renamed, level=args.level)
    )
    if args.json:
        print(json.dumps({"comparisons": [comparison_values(f) for f in found]}, indent=2))
    else:
        for one in found:
            put(comparison_page(one, args.n), sys.stdout)
    return EXIT_OK
