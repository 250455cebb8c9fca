"""The page `docs/cli.md`, made from the parser itself: `python -m runner.cli.reference`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from runner.cli.main import EXIT_CODES, build_parser

_HEAD = """\
# Command line

Made by `python -m runner.cli.reference > docs/cli.md`; a test compares.

Inputs are relative to the configuration file, outputs to the working directory. Results go to
standard output, everything else to standard error. `--debug` shows tracebacks. Values of
`KEY=VALUE` are YAML; items of `models` and `scenarios` go by name.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join((_HEAD, *_exit_codes(), *_commands())) + "\n"


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | meaning |"
    yield "| ---: | --- |"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _commands() -> Iterator[str]:
    _, commands = build_parser()
    for name, parser in commands.items():
        positional = [_positional(a) for a in _arguments(parser) if not a.option_strings]
        yield f"## runner {name}\n"
        yield f"`{' '.join(('runner', name, *positional))}`\n"
        yield f"{_summary(parser.description or '')}\n"
        yield "| argument | meaning |"
        yield "| --- | --- |"
        yield from _rows(parser)
        yield ""


def _summary(description: str) -> str:
    """Drop the command from the head of its module's docstring."""
    command, colon, rest = description.partition("`: ")
    text = rest if colon and command.startswith("`runner") else description
    return text[:1].upper() + text[1:]


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    left_out = ("help", "debug")
    return [a for a in parser._actions if a.dest not in left_out]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # argparse has no other way to look at it


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in _arguments(parser):
        if action.option_strings:
            value = f" {_value(action)}" if action.nargs != 0 else ""
            name = f"{', '.join(action.option_strings)}{value}"
        else:
            name = _positional(action)
        default = action.default
        shown = default not in (None, "", False, [], argparse.SUPPRESS)
        ending = f" (default: {default})" if shown and action.nargs != 0 else ""
        meaning = (f"{action.help or ''}{ending}").replace("|", "\\|")
        yield f"| `{name.replace('|', chr(92) + '|')}` | {meaning} |"


def _value(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _positional(action: argparse.Action) -> str:
    value = _value(action)
    return {"?": f"[{value}]", "*": f"[{value} …]", "+": f"{value} …"}.get(str(action.nargs), value)


if __name__ == "__main__":
    print(page(), end="")
