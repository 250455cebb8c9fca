"""`runner simulate`: a server that behaves like a model API, for trying things without spending."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.arguments import Commands
    from runner.simulate.config import SimulateConfig


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "simulate", help="serve a simulated model API on this machine", description=__doc__
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="0: any free port")
    parser.add_argument("--config", metavar="FILE", help="settings of the server (YAML)")
    parser.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="override a setting: persona=blackmailer, quota.rpm=600, faults.overloaded=0.01",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    import asyncio

    from runner.core.errors import EXIT_OK, ConfigError
    from runner.simulate.load import load_simulation

    config = load_simulation(args.config, args.overrides)
    if not 0 <= args.port < 65_536:
        msg = f"--port {args.port}: give a number from 0 to 65535."
        raise ConfigError(msg)
    try:
        asyncio.run(_serve(config, args.port))
    except OSError as error:
        msg = f"--port {args.port}: cannot listen there ({error.strerror}). Choose another."
        raise ConfigError(msg) from error
    return EXIT_OK


async def _serve(config: SimulateConfig, port: int) -> None:
    import asyncio
    import signal
    import sys

    from runner.simulate.server import STATS_PATH, serving

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serving(config, port) as (url, service):
        print(url, flush=True)
        print(_EXAMPLE.format(url=url, stats=STATS_PATH), file=sys.stderr, flush=True)
        await stopped.wait()
        counts = ", ".join(f"{n} × {name}" for name, n in service.statuses.most_common())
        print(f"Stopped. Responses: {counts or 'none'}.", file=sys.stderr)


_EXAMPLE = """\
Serving until Ctrl-C; counts are at {url}{stats}. In a configuration:

models:
  - {{name: simulated, provider: anthropic, model: any-id, base_url: "{url}", max_tokens: 1000}}
  - {{name: simulated-chat, provider: openai, model: any-id, base_url: "{url}/v1", max_tokens: 1000}}
"""
