"""`runner verify DIR`: read every shard of a sweep, live or dead, and prove what it holds.

Changes nothing. Exit code 0: the record holds; 5: it does not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json
from runner.core.errors import EXIT_OK, EXIT_RECORD

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "verify",
        help="prove that each job has one row and every file is what the manifest says",
        description=__doc__,
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify a sweep and print what was found."""
    from runner.observe.terminal import one_line
    from runner.record.verify import verify

    result = verify(args.directory)
    if args.json:
        print(json.dumps({"ok": result.ok, **asdict(result)}, indent=2))
        return EXIT_OK if result.ok else EXIT_RECORD
    for finding in result.findings:
        what = one_line(f"{finding.where}: {finding.message}", 1000)
        print(f"{finding.level:9}  {finding.code:18}  {what}")
    rows = ", ".join(f"{count} {table}" for table, count in result.rows.items()) or "no rows"
    print(
        f"{args.directory}: {result.recorded} jobs recorded, {result.dead} dead letters; "
        f"{rows} in {result.files} files, {result.entries} manifest entries"
    )
    if result.ok:
        print("each job at most once, every checksum right")
        return EXIT_OK
    print("the record does not hold: see the violations above")
    return EXIT_RECORD
