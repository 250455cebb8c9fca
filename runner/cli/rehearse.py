"""`runner rehearse CONFIG`: the plan in virtual time: how long, how much, what binds, what would change it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner.cli.arguments import add_configuration, add_json, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.cli.arguments import Commands
    from runner.config.schema import SweepConfig
    from runner.pipeline.assuming import Given
    from runner.simulate.config import LatencyConfig


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "rehearse",
        help="run the plan in virtual time before spending: duration, cost, what binds",
        description=__doc__,
    )
    add_configuration(parser)
    parser.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="as for `runner sweep` (default: 1)",
    )
    parser.add_argument(
        "--output-tokens",
        action="append",
        default=[],
        metavar="[MODEL=]N",
        help="tokens of an answer on average (default: as recorded, else a guess that is printed)",
    )
    parser.add_argument(
        "--latency",
        action="append",
        default=[],
        metavar="[MODEL=]S,RATE",
        help="seconds to the first token, tokens a second after it (default: as recorded, else a guess)",
    )
    parser.add_argument(
        "--calls",
        action="append",
        default=[],
        metavar="[MODEL=]N",
        help="calls of a job on average (default: as recorded, else as scripted)",
    )
    parser.add_argument(
        "--burst",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds of refill that the server's buckets hold (default: 60)",
    )
    parser.add_argument(
        "--server",
        metavar="FILE",
        help="settings of `runner simulate`: rehearse against that server's limits, answers and faults",
    )
    parser.add_argument(
        "--no-what-if", action="store_true", help="leave out what changes would bring"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the rehearsal; reads the sweep directory, writes nothing."""
    import asyncio

    from runner.config.load import load_config
    from runner.pipeline.rehearsing import rehearse_sweep

    loaded = load_config(args.config, args.overrides)
    given = _given(args, loaded.config)
    done = asyncio.run(rehearse_sweep(loaded, given, what_ifs=not args.no_what_if))
    if args.json:
        import json

        from runner.cli.rehearse_table import as_json

        print(json.dumps(as_json(done), indent=2))
        return 0
    from runner.cli.rehearse_table import lines
    from runner.observe.console import screen_width

    for line in lines(done, [args.config, *args.overrides], width=max(100, screen_width())):
        print(line)
    return 0


def _given(args: argparse.Namespace, config: SweepConfig) -> Given:
    """Read the options.

    Raises:
        ConfigError: one of them says nothing, or names a model that is not there.
    """
    from runner.core.errors import ConfigError
    from runner.pipeline.assuming import Given
    from runner.simulate.load import load_simulation

    if not args.burst > 0:
        msg = f"--burst {args.burst:g}: give a number above 0."
        raise ConfigError(msg)
    names = [m.name for m in (*config.models, *config.actors, *config.judges)]
    return Given(
        workers=args.workers,
        output={
            m: _number("--output-tokens", t)
            for m, t in _split(args.output_tokens, "--output-tokens", names)
        },
        calls={m: _number("--calls", t) for m, t in _split(args.calls, "--calls", names)},
        latency={m: _latency(t) for m, t in _split(args.latency, "--latency", names)},
        burst_s=args.burst,
        server=None if args.server is None else load_simulation(args.server, ()),
    )


def _split(texts: Sequence[str], option: str, names: Sequence[str]) -> list[tuple[str, str]]:
    from runner.config.source import nearest
    from runner.core.errors import ConfigError

    found: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = text.rpartition("=")
        if equals and name not in names:
            msg = f"{option} {text}: there is no model {name!r}. {nearest(name, names)}"
            raise ConfigError(msg.rstrip())
        found.append((name, value))
    return found


def _number(option: str, text: str) -> float:
    from runner.core.errors import ConfigError

    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e9:
        msg = f"{option} {text}: give a number from 1, for one model as MODEL=N."
        raise ConfigError(msg)
    return number


def _latency(text: str) -> LatencyConfig:
    from runner.core.errors import ConfigError
    from runner.simulate.config import LatencyConfig

    first, _, rate = text.partition(",")
    try:
        found = LatencyConfig(first_token_s=float(first), tokens_per_s=float(rate or 0))
    except ValueError:
        found = LatencyConfig(first_token_s=-1.0)
    if not 0 <= found.first_token_s < 1e6 or not 0 <= found.tokens_per_s < 1e9:
        msg = f"--latency {text}: give seconds and tokens a second, such as 1.2,60."
        raise ConfigError(msg)
    if not found.first_token_s and not found.tokens_per_s:
        msg = f"--latency {text}: an answer would take no time. Give one of the two."
        raise ConfigError(msg)
    return found
