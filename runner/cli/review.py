"""`runner review DIR`: label a blind sample of transcripts on a page in your browser, by keyboard.

The sample is stratified by model, scenario and verdict; none of these is shown. Every label is on disk
before the next transcript appears: stop with Ctrl-C at any time, run it again to go on. A fifth or more
is labelled twice, best by somebody else (--as). Then `runner calibrate DIR`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.main import Commands
    from runner.core.seams import Store
    from runner.pipeline.reviewing import Wish
    from runner.record.labels import Draw
    from runner.record.place import Place
    from runner.review.desk import Desk


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "review", help="label a blind sample of transcripts on a local page", description=__doc__
    )
    parser.add_argument("directory", metavar="DIR", help="sweep directory, finished or not")
    parser.add_argument(
        "--as", dest="labeller", metavar="NAME", help="who labels (default: your login name)"
    )
    parser.add_argument(
        "--grader",
        metavar="NAME",
        help="whose verdicts make the strata and whose outcomes are the choices (default: the first)",
    )
    parser.add_argument(
        "--graders",
        metavar="FILE",
        action="append",
        default=[],
        help="YAML with further `graders:`, as for runner grade; may be repeated",
    )
    parser.add_argument("--items", type=int, metavar="N", help="transcripts in the sample (100)")
    parser.add_argument(
        "--twice", type=float, metavar="SHARE", help="share that is labelled twice (0.2, the least)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="which sample is drawn (0)")
    parser.add_argument(
        "--redraw", action="store_true", help="draw again: more items, new rows; labels are kept"
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="of the page (default: any free one)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the default browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    import asyncio
    import getpass

    from runner.config.load import load_graders
    from runner.core.errors import EXIT_OK, ConfigError
    from runner.pipeline.reviewing import Wish
    from runner.record.place import Place, open_store

    labeller = (args.labeller or getpass.getuser()).strip()
    if not labeller or len(labeller) > 80:
        msg = "--as: give a name of 1 to 80 characters."
        raise ConfigError(msg)
    if not 0 <= args.port < 65_536:
        msg = f"--port {args.port}: give a number from 0 to 65535."
        raise ConfigError(msg)
    wish = Wish(
        grader=args.grader, items=args.items, share_twice=args.twice, seed=args.seed,
        redraw=args.redraw, further=tuple(load_graders(path) for path in args.graders),
    )  # fmt: skip
    directory = Place(args.directory)
    asyncio.run(
        _review(open_store(directory), directory, wish, labeller, args.port, show=args.open)
    )
    return EXIT_OK


async def _review(
    store: Store, directory: Place, wish: Wish, labeller: str, port: int, *, show: bool
) -> None:
    from pathlib import Path

    from runner.core.clock import SystemClock
    from runner.core.errors import ConfigError
    from runner.pipeline.reviewing import current_draw, open_desk
    from runner.record.query import open_tables
    from runner.review.server import serving

    draw, new = await current_draw(store, directory, wish)
    await directory.refresh()
    with open_tables(Path(directory)) as tables:
        desk = open_desk(store, tables, draw, labeller, SystemClock())
        await desk.refresh()
        _greet(draw, desk, new=new)
        try:
            async with serving(desk, port) as address:
                await _until_stopped(address, show=show)
        except OSError as error:
            msg = f"--port {port}: cannot listen there ({error.strerror}). Choose another."
            raise ConfigError(msg) from error
    _farewell(directory, desk)


async def _until_stopped(address: str, *, show: bool) -> None:
    import asyncio
    import signal
    import webbrowser

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    print(address, flush=True)
    if show:
        webbrowser.open(address)
    await stopped.wait()


def _greet(draw: Draw, desk: Desk, *, new: bool) -> None:
    import sys

    from runner.observe.amounts import count, many
    from runner.observe.terminal import one_line

    strata = {(i.model, i.scenario, i.verdict) for i in draw.items}
    done = desk.progress()
    lines = (
        (
            f"Draw {draw.number} of {draw.grader}, {'drawn now' if new else 'taken up again'}: "
            f"{many(len(draw.items), 'transcript')} from all {count(len(strata))} of model × scenario × verdict."
        ),
        (
            f"Labelled: {count(done.labelled)}; twice: {count(done.labelled_twice)} of {count(done.twice)}; "
            f"by you, {one_line(desk.labeller)}: {count(done.own)}."
        ),
        "Open this address here (it is for this session alone). Ctrl-C ends it, ? on the page helps.",
    )
    print("\n".join(lines), file=sys.stderr, flush=True)


def _farewell(directory: Place, desk: Desk) -> None:
    import shlex
    import sys

    from runner.observe.amounts import count, many

    done = desk.progress()
    where = shlex.quote(str(directory))
    lines = [
        (
            f"{many(desk.given, 'label')} in this session; {count(done.labelled)} of {count(done.records)} "
            f"transcripts labelled, {count(done.labelled_twice)} of {count(done.twice)} twice."
        )
    ]
    if done.left:
        lines.append(f"go on: runner review {where} --as {shlex.quote(desk.labeller)}")
        if done.labelled == done.records:
            lines.append(
                f"second labels are best from somebody else: runner review {where} --as NAME"
            )
    lines.append(f"next:  runner calibrate {where}")
    print("\n".join(lines), file=sys.stderr, flush=True)
