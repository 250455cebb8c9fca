"""`runner export DIR`: Inspect logs, CSV or JSON lines of a sweep."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export", help="Inspect logs, CSV or JSON lines of a sweep", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory, finished or not")
    parser.add_argument(
        "--to",
        choices=("inspect", "csv", "jsonl"),
        default="inspect",
        help="inspect: `.eval` files for `inspect view`; csv; jsonl: whole rows (default: inspect)",
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: DIR-FORM)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    import asyncio
    import sys
    from pathlib import Path

    from runner.core.errors import EXIT_OK
    from runner.pipeline.exporting import export_sweep
    from runner.record.place import Place, open_store

    directory = Place(args.directory)
    # Beside the sweep, never in it: `.eval` files below it would change what Scout reads there.
    name = str(directory).rstrip("/")
    own = Path(
        f"{name.rpartition('/')[2]}-{args.to}" if directory.is_remote else f"{name}-{args.to}"
    )
    folder = Path(args.out) if args.out else own
    done = asyncio.run(export_sweep(open_store(directory), directory, args.to, folder))
    print(*done.files, sep="\n")
    print(f"{done.rows} rows", file=sys.stderr)
    if args.to == "inspect":
        print(f"next: inspect view start --log-dir {folder}", file=sys.stderr)
    return EXIT_OK
