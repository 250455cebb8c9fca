"""The command `runner`: finds the command, runs it, turns errors into messages and exit codes.

Commands are modules of this package with `add(commands)`, which only describes the arguments, and
`run(args)`, which imports what it needs when it runs: so `runner --help` stays quick.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from runner.core.errors import (
    EXIT_ABORTED,
    EXIT_BUDGET,
    EXIT_CONFIG,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_RECORD,
    EXIT_STATE,
    EXIT_STORAGE,
    EXIT_UNEXPECTED,
    ConfigError,
    RunnerError,
)
from runner.observe.terminal import clean

if TYPE_CHECKING:
    from runner.cli.arguments import Commands

COMMANDS = (
    "import_",
    "plan",
    "lint",
    "rehearse",
    "try_",
    "sweep",
    "submit",
    "resume",
    "stop",
    "control",
    "status",
    "show",
    "grade",
    "review",
    "calibrate",
    "accuracy",
    "report",
    "compare",
    "export",
    "power",
    "verify",
    "compact",
    "doctor",
    "simulate",
)
"""Modules of this package, in the order in which `--help` lists their commands."""

EXIT_CODES = {
    EXIT_OK: "done",
    EXIT_UNEXPECTED: "a fault of runner itself; `--debug` shows where",
    EXIT_CONFIG: "the configuration or the command line must change",
    EXIT_STATE: "the sweep directory does not fit: held by a live process, or its cells changed",
    EXIT_ABORTED: "nothing further can succeed: key, model id, server",
    EXIT_RECORD: "recorded data is not what it should be (`runner verify` names it)",
    EXIT_STORAGE: "the output or a disk refused a write: full, read-only, not reachable",
    EXIT_INCOMPLETE: "ended with dead letters or a stopped model; everything else is recorded",
    EXIT_BUDGET: "the budget is used up, everything paid for is recorded; a higher one goes on",
    EXIT_INTERRUPTED: "stopped by Ctrl-C or SIGTERM after a drain; `runner resume` goes on",
}


class Command(Protocol):
    """What a command's module offers."""

    def add(self, commands: Commands) -> None:
        """Describe the command's arguments and set `run` as its default."""
        ...


def build_parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """Return the parser and those of the commands, without importing what commands need to run."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = argparse.ArgumentParser(
        prog="runner",
        description="Scenario × seed × model sweeps over model APIs, recorded as Parquet.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    for name in COMMANDS:
        cast("Command", import_module(f"runner.cli.{name}")).add(commands)
    for command in set(commands.choices.values()):
        command.allow_abbrev = False
        # After the command too, where people put it; absent there, the one before counts.
        help_text = "show tracebacks"
        command.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=help_text
        )
    return parser, commands.choices


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (documented in docs/cli.md)."""
    args = _parse(arguments)
    if os.environ.get("RUNNER_LOG"):
        from runner.observe.logs import log_as_asked

        log_as_asked(os.environ)
    try:
        code = cast("int", args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): no news, and no second error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except RunnerError as error:
        if args.debug:
            traceback.print_exc()
        print(clean(str(error)), file=sys.stderr)  # it may quote what a server said
        if isinstance(error, ConfigError):
            print(f"{_problems(len(error.problems))}, nothing was started.", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last stop before the user
        if args.debug:
            traceback.print_exc()
        else:
            print(clean(f"{type(error).__name__}: {error}"), file=sys.stderr)
            print(
                "This is a fault of runner; run again with --debug to see where.", file=sys.stderr
            )
        return EXIT_UNEXPECTED
    return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, taking `KEY=VALUE` wherever it stands: argparse itself stops at the first option."""
    parser, commands = build_parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    named = next((word for word in words if not word.startswith("-")), None)
    if named is not None and named not in commands:
        parser.error(f"{clean(named)!r} is no command. {_nearest(named, commands)}")
    args, left = parser.parse_known_args(words)
    if args.command is None:
        parser.error("name a command; `runner --help` lists them")
    if left and hasattr(args, "overrides") and not any(a.startswith("-") for a in left):
        args.overrides = [*args.overrides, *left]
    elif left:
        command = commands[args.command]
        hints = (
            f"{clean(word)!r} is not taken here. {_nearest(word, _options(command))}"
            for word in left
        )
        command.error(" ".join(hints))
    return args


def _nearest(word: str, known: Iterable[str]) -> str:
    from runner.config.source import nearest  # only where somebody erred

    return nearest(word, known)


def _options(command: argparse.ArgumentParser) -> list[str]:
    actions = command._actions  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # argparse has no other way to look at it
    return [option for action in actions for option in action.option_strings]


def _problems(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"
