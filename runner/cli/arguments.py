"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.pipeline.prepare import Choices

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # argparse names it no other way


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add the configuration file and its overrides."""
    parser.add_argument("config", metavar="CONFIG", help="configuration file (YAML)")
    parser.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="override a key: seeds=10, models.m1.max_tokens=800, scenarios.tone.axes.tone=[blunt]",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, for every command that prints a table."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_placement(parser: argparse.ArgumentParser) -> None:
    """Add where a sweep runs, and what it may do to the sweep directory."""
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="run on N Ray workers (default: in process)"
    )
    parser.add_argument(
        "--address", metavar="auto|HOST:PORT", help="Ray cluster to run on (default: start one)"
    )
    add_each(parser)
    add_spending(parser)
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="do not look whether another process holds the sweep; it is fenced off",
    )


def add_each(parser: argparse.ArgumentParser) -> None:
    """Add what a worker asks of a Ray cluster."""
    parser.add_argument(
        "--each",
        action="append",
        default=[],
        type=_resource,
        metavar="NAME=N",
        help="what each worker asks of the Ray cluster (default: CPU=1; may be repeated): CPU=4 puts two "
        "on a node of 8, memory=2e9 is bytes, a resource of your own keeps them on nodes that have it",
    )


def _resource(text: str) -> tuple[str, float]:
    """Return name and amount of what is to be asked of Ray.

    Raises:
        ArgumentTypeError: it is neither, or a GPU.
    """
    name, _, amount = text.partition("=")
    try:
        number = float(amount)
    except ValueError:
        number = 0.0
    if not name or not 0 < number < inf:
        msg = f"{text!r}: give a name and a number above 0, such as CPU=2"
        raise argparse.ArgumentTypeError(msg)
    if name == "GPU":
        msg = "workers only wait for APIs: they take no GPU"
        raise argparse.ArgumentTypeError(msg)
    return name, number


def add_spending(parser: argparse.ArgumentParser) -> None:
    """Add what a sweep may spend on beyond what it does by itself."""
    parser.add_argument(
        "--retry-failed", action="store_true", help="owe the jobs in failures/ again"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="spend what it costs, also above 20 dollars",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="go on with models whose first answers were mostly worth nothing",
    )


def check_level(level: float) -> None:
    """Refuse a coverage that is none.

    Raises:
        ConfigError: not between 0 and 1.
    """
    from runner.core.errors import ConfigError

    if not 0 < level < 1:
        msg = f"--level {level}: give a number between 0 and 1, such as 0.95."
        raise ConfigError(msg)


def each_of(args: argparse.Namespace) -> dict[str, float]:
    """Return what each worker asks of a cluster, out of the arguments of `add_each`.

    Raises:
        ConfigError: there is no cluster to ask.
    """
    from runner.core.errors import ConfigError

    if args.each and args.address is None:
        msg = "--each: of a cluster only. Name it by --address, or leave --each out"
        raise ConfigError(msg)
    return dict(args.each)


def choices_of(args: argparse.Namespace) -> Choices:
    """Return what the user allows, out of the arguments of `add_placement`."""
    from runner.pipeline.prepare import Choices

    return Choices(
        retry_failed=args.retry_failed,
        supersede=getattr(args, "supersede", False),
        take_over=args.take_over,
        yes=args.yes,
        keep_going=args.keep_going,
    )


def positive(text: str) -> int:
    """Read a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        msg = f"{text!r} is no whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return number
