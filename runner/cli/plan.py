"""`runner plan CONFIG`: what a sweep would do, before anything is spent."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_json

if TYPE_CHECKING:
    from runner.cli.arguments import Commands
    from runner.pipeline.planning import Planned


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "plan", help="count jobs, calls and tokens before spending", description=__doc__
    )
    add_configuration(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the plan; reads the sweep directory, writes nothing."""
    import asyncio

    from runner.config.load import load_config
    from runner.pipeline.planning import plan_sweep

    loaded = load_config(args.config, args.overrides)
    planned = asyncio.run(plan_sweep(loaded))
    if args.json:
        import json

        print(json.dumps(as_json(planned), indent=2))
    else:
        _print(planned, [args.config, *args.overrides])
    return 0


def as_json(planned: Planned) -> dict[str, object]:
    """Return what the table says, as plain values; tokens are for what is owed."""
    from dataclasses import asdict

    config, counts = planned.loaded.config, planned.prepared.counts
    return {
        "name": config.name,
        "output": config.output,
        "digest": planned.loaded.digest,
        "cells": len(planned.prepared.book.plan.cells),
        **asdict(counts),
        "owed": counts.owed,
        "models": [asdict(one) for one in planned.estimates],
    }


def _print(planned: Planned, typed: list[str]) -> None:
    from rich.console import Console

    from runner.cli.plan_table import heading, next_lines, table

    console = Console(highlight=False, soft_wrap=True)
    with console.capture() as captured:  # printing itself, rich would end the process on `| head`
        console.print(table(planned.estimates))
    for line in heading(planned):
        print(line)
    print(captured.get(), end="")
    for line in next_lines(planned, typed):
        print(line)
