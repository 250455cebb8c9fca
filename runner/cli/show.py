"""`runner show CONFIG|DIR`: a rendered prompt, or the transcripts of a sweep."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import positive

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "show",
        help="a rendered prompt of a configuration, or transcripts of a sweep",
        description=__doc__,
    )
    parser.add_argument(
        "target", metavar="CONFIG|DIR", help="configuration file or sweep directory"
    )
    parser.add_argument(
        "key", metavar="KEY-PREFIX", nargs="?", default="", help="a job's first digits"
    )
    parser.add_argument("--condition", default="", metavar="LEVELS", help="tone=blunt,topic=budget")
    parser.add_argument("--scenario", default="", metavar="NAME")
    parser.add_argument("--model", default="", metavar="NAME")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument(
        "--outcome", default="", metavar="NAME", help="of a verdict; `harmful` for all"
    )
    parser.add_argument("--failed", action="store_true", help="dead letters with their errors")
    parser.add_argument(
        "-n", type=positive, default=1, metavar="N", help="print so many transcripts"
    )
    parser.add_argument(
        "--diff",
        nargs=2,
        metavar=("A", "B"),
        help="of a configuration: what tells two conditions apart, tone=blunt tone=polite",
    )
    parser.add_argument(
        "--state",
        action="store_true",
        help="of an episode with an environment: what changed in it with each turn (--full: all of it)",
    )
    parser.add_argument("--full", action="store_true", help="fold nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the prompt or the transcripts."""
    import asyncio
    import sys
    from pathlib import Path

    from runner.config.load import load_config
    from runner.core.errors import EXIT_OK, ConfigError
    from runner.pipeline.differing import diff_config
    from runner.pipeline.showing import show_config, show_sweep
    from runner.record.place import Place, open_store
    from runner.report.lookup import Selector
    from runner.report.screen import put

    selector = Selector(
        key=args.key,
        condition=args.condition,
        scenario=args.scenario,
        model=args.model,
        seed=args.seed,
        outcome=args.outcome,
    )
    target = Place(args.target)
    if not target.is_remote and not Path(target).exists():
        msg = f"{target}: nothing there. Name a configuration file or the directory of a sweep."
        raise ConfigError(msg)
    is_config = not target.is_remote and not Path(target).is_dir()
    of_rows = {"KEY-PREFIX": args.key, "--outcome": args.outcome, "--failed": args.failed,
               "--state": args.state}  # fmt: skip
    meant = [name for name, given in of_rows.items() if given] if is_config else []
    if meant:
        msg = (
            f"{' and '.join(meant)}: only the directory of a sweep has that, and {target} is a "
            "configuration. Choose of it by --scenario, --condition, --model and --seed."
        )
        raise ConfigError(msg)
    if args.diff and not is_config:
        msg = f"--diff: {target} is the directory of a sweep. Name its configuration."
        raise ConfigError(msg)
    if is_config:
        if args.diff:
            config = load_config(args.target).config
            put(diff_config(config, selector, (args.diff[0], args.diff[1])), sys.stdout)
            return EXIT_OK
        put(show_config(load_config(args.target).config, selector), sys.stdout)
        return EXIT_OK
    shown = show_sweep(
        open_store(target),
        target,
        selector,
        failed=args.failed,
        transcripts=args.n,
        full=args.full,
        state=args.state,
    )
    put(asyncio.run(shown), sys.stdout)
    return EXIT_OK
