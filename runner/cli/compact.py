"""`runner compact DIR`: copy the published shards into few large files in compacted/.

Leaves the shards as they are; run again, it adds what is new.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json, positive
from runner.core.errors import EXIT_OK

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "compact",
        help="copy the published shards into few large files in compacted/",
        description=__doc__,
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    parser.add_argument(
        "--target-mb",
        type=positive,
        default=128,
        metavar="N",
        help="size of a file; 64 to 256 is good",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compact a sweep and print what was written."""
    from runner.record.compact import compact
    from runner.record.layout import COMPACTED
    from runner.record.place import Place

    place = Place(args.directory)
    done = compact(args.directory, target_bytes=args.target_mb * 1_000_000)
    asyncio.run(place.upload(COMPACTED))
    if args.json:
        print(json.dumps(asdict(done), indent=2))
        return EXIT_OK
    for file in done.written:
        print(
            f"{args.directory}/{file.name}: {file.rows:,} rows, shards merged: {len(file.shards)}, "
            f"{file.bytes / 1e6:.1f} MB"
        )
    print(
        f"{len(done.written)} files written, {len(done.kept)} kept, "
        f"{len(done.deleted)} stale ones deleted"
    )
    return EXIT_OK
