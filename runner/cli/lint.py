"""`runner lint CONFIG`: check a configuration and render every condition, without any call."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_json

if TYPE_CHECKING:
    from runner.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "lint", help="check a configuration and render every condition", description=__doc__
    )
    add_configuration(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print findings, worst first; exit code 2 where one of them is an error."""
    from runner.config.load import load_config
    from runner.core.errors import EXIT_CONFIG, EXIT_OK
    from runner.observe.terminal import one_line
    from runner.pipeline.planning import lint_all
    from runner.scenarios.findings import Severity

    found = lint_all(load_config(args.config, args.overrides))
    found.sort(key=lambda finding: list(Severity).index(finding.severity))
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            print(f"{finding.severity:8} {one_line(str(finding), 600)}")
        warnings = sum(finding.severity is Severity.WARNING for finding in found)
        print(f"{args.config}: {errors} errors, {warnings} warnings")
    return EXIT_CONFIG if errors else EXIT_OK
