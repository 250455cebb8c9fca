"""`runner import`: chooses the reader for a source, collects its prompts, and writes the sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.core.errors import ConfigError
from runner.importer.collect import Collected, collect
from runner.importer.draft import Draft, Fault, Fields
from runner.importer.inspect_sets import names_code, read_inspect
from runner.importer.seeds import has_front_matter, read_seeds
from runner.importer.spool import Spool
from runner.importer.tables import FORMS, read_table
from runner.importer.texts import SUFFIXES, read_texts
from runner.importer.write import Written, write_sweep

FORMATS = ("texts", "markdown", "jsonl", "json", "csv", "parquet", "inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to import, and how."""

    source: str
    target: Path
    form: str = ""
    """One of `FORMATS`; "" for what it looks like."""
    fields: Fields = field(default_factory=Fields)
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    """Of the function that makes an Inspect task."""
    prefill: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of it."""

    form: str
    prompts: int
    """So many were imported."""
    collected: Collected
    """What is to be said of them; the prompts themselves are written."""
    written: Written
    unread: tuple[str, ...] = ()
    """Files of a folder that hold prompts of another format, by their suffixes: none is read."""


def import_set(wanted: Wanted) -> Imported:
    """Import a set of prompts.

    Raises:
        ConfigError: the source cannot be read, holds nothing that can be imported, or a file that
            would be written is there already.
        StorageError: the configuration cannot be written.
    """
    form = wanted.form or _look(wanted.source)
    with Spool() as items:
        done = collect(_drafts(wanted, form), items, prefill=wanted.prefill)
        if not items:
            some = [f"{fault.where}: {fault.what}" for fault in done.faults[:10]]
            msg = (
                f"{wanted.source}: holds no prompt that can be imported (read as {form}). "
                "Name another format with --format, or mend what is listed."
            )
            raise ConfigError(msg, *some)
        written = write_sweep(done, wanted.target, wanted.source, replace=wanted.replace)
        count = len(items)
    unread = _unread(Path(wanted.source), form)
    return Imported(form=form, prompts=count, collected=done, written=written, unread=unread)


def _unread(path: Path, form: str) -> tuple[str, ...]:
    if not path.is_dir():
        return ()
    others = {*FORMS, *SUFFIXES} - {*_suffixes(form)}
    return tuple(str(p) for p in sorted(_files(path, others)) if p.stem.lower() != "readme")


def _look(source: str) -> str:
    """Return the format that a source looks like.

    Raises:
        ConfigError: it looks like none.
    """
    path = Path(source)
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")]
        marked = [p for p in files if p.suffix == ".md" and has_front_matter(p)]
        if marked:
            return "markdown"
        forms = {FORMS[p.suffix.lower()] for p in files if p.suffix.lower() in FORMS}
        texts = any(p.suffix.lower() in SUFFIXES and p.stem.lower() != "readme" for p in files)
        return forms.pop() if len(forms) == 1 and not texts else "texts"
    if path.is_file():
        form = FORMS.get(path.suffix.lower(), "markdown" if path.suffix == ".md" else "")
        if form:
            return form
        msg = (
            f"{source}: {path.suffix or 'no suffix'} says nothing. Name the format: --format jsonl"
        )
        raise ConfigError(msg)
    if names_code(source) or ("/" in source and not path.parent.exists()):
        return "inspect"
    msg = f"{source}: nothing there. Name a file, a folder, or module:function of an Inspect task."
    raise ConfigError(msg)


def _drafts(wanted: Wanted, form: str) -> Iterator[Draft | Fault]:
    path = Path(wanted.source)
    if form == "texts":
        if not path.is_dir():
            msg = f"{wanted.source}: --format texts reads a folder."
            raise ConfigError(msg)
        return read_texts(path, wanted.fields)
    if form == "markdown":
        paths = sorted(_files(path, _suffixes(form)))
        return read_seeds(paths, path)
    if form == "inspect" and not path.exists():
        return read_inspect(wanted.source, wanted.fields, wanted.arguments)
    if form == "inspect":
        form = FORMS.get(path.suffix.lower(), "jsonl")
    return _tables(sorted(_files(path, _suffixes(form))), form, wanted.fields)


def _suffixes(form: str) -> Iterable[str]:
    """Return the suffixes of the files of a folder that are read as a format."""
    if form == "texts":
        return SUFFIXES
    if form == "markdown":
        return (".md",)
    tables = "jsonl" if form == "inspect" else form
    return [suffix for suffix, known in FORMS.items() if known == tables]


def _files(path: Path, suffixes: Iterable[str]) -> Iterator[Path]:
    if not path.exists():
        msg = f"{path}: nothing there. Name a file or a folder."
        raise ConfigError(msg)
    if path.is_file():
        return iter((path,))
    return (
        p
        for p in path.rglob("*")
        if p.is_file() and p.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in p.relative_to(path).parts)
    )  # fmt: skip


def _tables(paths: Iterable[Path], form: str, fields: Fields) -> Iterator[Draft | Fault]:
    for path in paths:
        yield from read_table(path, form, fields)
