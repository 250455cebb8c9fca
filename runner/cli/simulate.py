"""`runner simulate`: a server that behaves like a model API, for trying things without spending."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from runner.cli.arguments import Commands
    from runner.simulate.config import SimulateConfig
    from runner.simulate.service import Service

DEFAULT_PORT = 8077
"""Where `configs/hello.yaml` looks."""
EVERY_S = 10.0


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "simulate", help="serve a simulated model API on this machine", description=__doc__
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"0: any free port (default: {DEFAULT_PORT}, or any free port where that is taken)",
    )
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
    if args.port is not None and not 0 <= args.port < 65_536:
        msg = f"--port {args.port}: give a number from 0 to 65535."
        raise ConfigError(msg)
    try:
        asyncio.run(_serve(config, args.port))
    except OSError as error:
        msg = f"--port {args.port}: cannot listen there ({error.strerror}). Choose another."
        raise ConfigError(msg) from error
    return EXIT_OK


async def _serve(config: SimulateConfig, port: int | None) -> None:
    import asyncio
    import signal
    import sys

    from runner.simulate.server import serving

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if port is not None:
        async with serving(config, port) as (url, service):
            await _tell(url, service, stopped)
        return
    try:
        async with serving(config, DEFAULT_PORT) as (url, service):
            await _tell(url, service, stopped)
    except OSError:
        print(f"Port {DEFAULT_PORT} is taken: any free one instead.", file=sys.stderr)
        async with serving(config, 0) as (url, service):
            await _tell(url, service, stopped)


async def _tell(url: str, service: Service, stopped: asyncio.Event) -> None:
    """Print what is served, what happens every ten seconds, and what has happened in the end."""
    import asyncio
    import sys

    from runner.simulate.screen import Traffic, farewell, greeting, hello_line
    from runner.simulate.server import STATS_PATH

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    loop = asyncio.get_running_loop()
    begun = loop.time()
    print(url, flush=True)
    as_shipped = url.endswith(f":{DEFAULT_PORT}")
    for line in greeting(service.config, url, STATS_PATH):
        say(line)
    say(hello_line(url, as_shipped=as_shipped))
    traffic = Traffic()
    while not stopped.is_set():
        try:
            await asyncio.wait_for(stopped.wait(), EVERY_S)
        except TimeoutError:
            now = loop.time() - begun
            line = traffic.line(service.statuses, service.refused, service.running, now)
            if line is not None:
                say(line)
    for line in farewell(service.statuses, service.refused, service.outcomes, loop.time() - begun):
        say(line)
