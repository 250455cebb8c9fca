"""`runner power`: seeds for a difference or a bound, or what given seeds can show."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json, positive

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "power",
        help="seeds for a difference or a bound, or what given seeds can show",
        description=__doc__,
    )
    parser.add_argument(
        "config", metavar="CONFIG", nargs="?", help="what its planned seeds can show"
    )
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", default=[])
    parser.add_argument(
        "--rates", nargs=2, type=float, metavar=("P", "Q"), help="answers that tell P from Q"
    )
    parser.add_argument(
        "--bound", type=float, metavar="P", help="answers that bound a rate below P"
    )
    parser.add_argument("--answers", type=positive, metavar="N", help="what N answers can show")
    parser.add_argument(
        "--base", type=float, default=0.1, metavar="P", help="with --answers: from which rate, 0.1"
    )
    parser.add_argument(
        "--prompts", type=positive, default=1, metavar="K", help="spread over K prompts"
    )
    parser.add_argument("--power", type=float, default=0.8, help="chance to see it, 0.8")
    parser.add_argument("--level", type=float, default=0.95, help="coverage, 0.95")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the numbers."""
    import json
    import sys

    from runner.core.errors import EXIT_OK, ConfigError
    from runner.pipeline.powering import power_page
    from runner.report.screen import put

    asked = [args.rates is not None, args.bound is not None, args.answers is not None]
    if sum(asked) + (args.config is not None) != 1:
        msg = "give a CONFIG, or one of --rates P Q, --bound P and --answers N."
        raise ConfigError(msg)
    try:
        lines, values = power_page(
            config=args.config,
            overrides=args.overrides,
            rates=args.rates,
            bound=args.bound,
            answers=args.answers,
            base=args.base,
            prompts=args.prompts,
            power=args.power,
            level=args.level,
        )
    except ValueError as error:
        msg = f"{error}."
        raise ConfigError(msg) from error
    if args.json:
        print(json.dumps(values, indent=2))
    else:
        put(lines, sys.stdout)
    return EXIT_OK
