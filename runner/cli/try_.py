"""`runner try CONFIG`: run a few jobs in a scratch directory and print their transcripts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, positive

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "try", help="run a few jobs and read their transcripts", description=__doc__
    )
    add_configuration(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="AXIS=LEVEL",
        help="keep one level of an axis",
    )
    parser.add_argument("--models", default="", metavar="NAME,…", help="keep these models")
    parser.add_argument("-n", type=positive, default=1, metavar="N", help="seeds per cell")
    parser.add_argument("--full", action="store_true", help="fold nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run it; returns the exit code of the sweep."""
    import asyncio
    import shlex
    import sys
    import tempfile

    from runner.config.load import load_config
    from runner.core.errors import EXIT_OK, ConfigError
    from runner.pipeline.command import Placement, run_sweep
    from runner.pipeline.prepare import Choices
    from runner.pipeline.showing import show_sweep
    from runner.pipeline.trying import narrow
    from runner.record.place import Place, open_store
    from runner.report.lookup import Selector
    from runner.report.screen import put

    pairs = [item.partition("=") for item in args.only]
    if not all(sep and key and level for key, sep, level in pairs):
        msg = "--only takes AXIS=LEVEL: runner try CONFIG --only tone=blunt -n 5"
        raise ConfigError(msg)
    only = {key: level for key, _, level in pairs}
    models = [name for name in args.models.split(",") if name]
    loaded = load_config(args.config, args.overrides)
    config = narrow(loaded.config, only, models, args.n)
    directory = Place(tempfile.mkdtemp(prefix=f"runner-try-{config.name}-"))
    tried = Choices(), Placement()
    code = run_sweep(config, directory, *tried, source=loaded.source, closing=lambda _: [])
    store, anything = open_store(directory), Selector()
    for failed in (False,) if code == EXIT_OK else (False, True):
        shown = show_sweep(
            store, directory, anything, failed=failed, transcripts=1000, full=args.full
        )
        put(asyncio.run(shown), sys.stdout)
    print(f"tried in {directory}")
    print(f"next: runner sweep {shlex.join([args.config, *args.overrides])}")
    return code
