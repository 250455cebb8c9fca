"""`runner import SRC --to CONFIG`: turn a set of prompts into a sweep."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.arguments import Commands

LISTED = 20


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "import", help="turn a set of prompts into a sweep", description=__doc__
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder of text files, JSONL, JSON, CSV, Parquet, Markdown seeds, or an Inspect "
        "dataset: a file of one, a log, or `module:function`",
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="CONFIG",
        help="configuration to write; missing folders are made",
    )
    parser.add_argument(
        "--format",
        choices=("texts", "markdown", "jsonl", "json", "csv", "parquet", "inspect"),
        default="",
        help="how to read it (default: what it looks like)",
    )
    parser.add_argument(
        "--user-field",
        default="",
        metavar="NAME[,NAME]",
        help="field, or files without suffix, of what the user says; several are joined",
    )
    parser.add_argument("--system-field", default="", metavar="NAME", help="of the system prompt")
    parser.add_argument("--id-field", default="", metavar="NAME", help="of the prompts' names")
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the function that makes an Inspect task; may be repeated",
    )
    parser.add_argument(
        "--prefill",
        action="store_true",
        help="send an answer at the end of a conversation, for the model to go on with",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--all", action="store_true", help="list everything left out, not the first"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the configuration; say what is in it, what is not, and what to type next."""
    from pathlib import Path
    from shlex import quote

    from runner.core.errors import EXIT_OK
    from runner.importer.draft import Fields
    from runner.observe.amounts import count, many
    from runner.observe.terminal import one_line
    from runner.pipeline.importing import Wanted, import_set

    fields = Fields(
        user=tuple(name for name in args.user_field.split(",") if name),
        system=args.system_field,
        id=args.id_field,
    )
    done = import_set(
        Wanted(
            source=args.source,
            target=Path(args.to),
            form=args.format,
            fields=fields,
            arguments=dict(map(_argument, args.arg)),
            prefill=args.prefill,
            replace=args.force,
        )
    )
    found, written = done.collected, done.written
    place = f", texts in {written.prompts}" if written.prompts else ""
    print(f"{args.to}: {many(done.prompts, 'prompt')} of {args.source} ({done.form}){place}")

    def listed(title: str, lines: list[str]) -> None:
        if not lines:
            return
        print(f"\n{title}")
        shown = lines if args.all else lines[:LISTED]
        for line in shown:
            print(f"  {one_line(line, 300)}")
        if len(lines) > len(shown):
            print(f"  … and {count(len(lines) - len(shown))} more (--all lists them)")

    listed("not imported:", [f"{fault.where}: {fault.what}" for fault in found.faults])
    listed("identical, imported once:", [f"{where}: as {first}" for where, first in found.twins])
    changed = [f"{count(len(at))} ({at[0]} …): {note}" for note, at in found.notes.items()]
    listed("imported with a change:", changed)
    listed("not read, being of another format (import them apart, with --format):", [*done.unread])
    config = quote(args.to)
    print(f"\nnext: runner lint {config}")
    print(f"      runner plan {config}")
    print("      runner simulate   (in another terminal; or put your own models in)")
    print(f"      runner try {config} -n 2")
    print(f"      runner sweep {config}")
    return EXIT_OK


def _argument(text: str) -> tuple[str, object]:
    """Read `NAME=VALUE`, the value as YAML."""
    from runner.config.yaml_tree import YamlError, parse
    from runner.core.errors import ConfigError

    name, equals, value = text.partition("=")
    try:
        if equals and name.isidentifier():
            return name, parse(value, "--arg").plain()
    except YamlError:
        pass
    msg = f"--arg {text}: write NAME=VALUE."
    raise ConfigError(msg)
