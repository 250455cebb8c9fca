"""`runner doctor [CONFIG]`: can this machine run it, and what to do where it cannot."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_json

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor", help="check this machine, the keys and the servers", description=__doc__
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="configuration file (YAML)")
    parser.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", default=[], help="as for `runner sweep`"
    )
    parser.add_argument(
        "--call", action="store_true", help="send one real request to each model (costs a token)"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per check; exit code 2 where something must change."""
    import asyncio
    import os
    from dataclasses import asdict

    from runner.core.errors import EXIT_CONFIG, EXIT_OK
    from runner.observe.terminal import one_line
    from runner.pipeline.checkup import examine_machine, examine_models, examine_output
    from runner.record.place import Place

    loaded = None
    if args.config is not None:
        from runner.config.load import load_config

        loaded = load_config(args.config, args.overrides)
    findings = list(examine_machine())
    if loaded is not None:
        findings.append(asyncio.run(examine_output(Place(loaded.config.output or "outputs"))))
        findings += asyncio.run(examine_models(loaded.config, os.environ, call=args.call))
    if args.json:
        import json

        print(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            sign = "ok  " if finding.ok else "FAIL"
            print(f"{sign}  {finding.check}: {one_line(finding.found, 300)}")
            for line in finding.fix.splitlines():
                print(f"      {line}")
    return EXIT_OK if all(f.ok for f in findings) else EXIT_CONFIG
