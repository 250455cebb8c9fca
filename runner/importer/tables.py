"""Reads sets that come as records: JSON lines, JSON, CSV and Parquet files, and Inspect logs."""

from __future__ import annotations

import codecs
import csv
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from runner.core.errors import ConfigError, RecordError
from runner.importer.draft import Draft, Fault, Fields, Unusable
from runner.importer.records import read_record
from runner.record.rows import parquet_rows

FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv",
         ".parquet": "parquet", ".eval": "eval"}  # fmt: skip
"""Suffix to form."""
_LISTS = ("samples", "data", "examples", "items", "prompts", "rows", "train", "test")
_BIGGEST_CELL = 100_000_000

Found = tuple[str, object]
"""(where, record); a `Fault` where there is none."""


def read_table(path: Path, form: str, fields: Fields) -> Iterator[Draft | Fault]:
    """Yield the drafts of a file.

    Args:
        path: the file.
        form: a value of `FORMS`.
        fields: those that the user named.

    Raises:
        ConfigError: the file cannot be read at all.
    """
    readers = {"jsonl": _lines, "json": _whole, "csv": _cells, "parquet": _rows, "eval": _samples}
    try:
        for found in readers[form](path):
            if isinstance(found, Fault):
                yield found
                continue
            where, record = found
            try:
                yield read_record(record, where, fields)
            except Unusable as why:
                yield Fault(where=where, what=str(why))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})."
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: is not UTF-8 text (byte {error.start})."
        raise ConfigError(msg) from error
    except RecordError as error:
        raise ConfigError(str(error)) from error


def _lines(path: Path) -> Iterator[Found | Fault]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not text.strip():
                continue
            try:
                yield where, orjson.loads(text.decode())
            except UnicodeDecodeError as error:
                yield Fault(where=where, what=f"is not UTF-8 text (byte {error.start} of the line)")
            except orjson.JSONDecodeError as error:
                yield Fault(where=where, what=f"no JSON ({error})")


def _whole(path: Path) -> Iterator[Found | Fault]:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        msg = f"{path}: no JSON ({error})."
        raise ConfigError(msg) from error
    if isinstance(found, Mapping):
        held = cast("Mapping[str, object]", found)
        found = next((held[name] for name in _LISTS if isinstance(held.get(name), list)), [held])
    for i, record in enumerate(cast("list[object]", found)):
        yield f"{path}[{i}]", record


def _cells(path: Path) -> Iterator[Found | Fault]:
    csv.field_size_limit(min(_BIGGEST_CELL, sys.maxsize))
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    yield Fault(where=where, what="has more or fewer cells than the first line")
                else:
                    yield where, row
        except csv.Error as error:
            yield Fault(where=f"{path}:{reader.line_num}", what=str(error))


def _rows(path: Path) -> Iterator[Found | Fault]:
    for number, row in enumerate(parquet_rows(path), 1):
        yield f"{path}:{number}", row


def _samples(path: Path) -> Iterator[Found | Fault]:
    """Read the samples of an Inspect log, the first epoch of each."""
    try:
        with zipfile.ZipFile(path) as log:
            for name in sorted(n for n in log.namelist() if n.startswith("samples/")):
                sample: dict[str, Any] = json.loads(log.read(name))
                if sample.get("epoch", 1) == 1:
                    kept = ("id", "input", "target", "choices", "metadata", "files", "sandbox")
                    yield f"{path}:{name}", {k: sample[k] for k in kept if k in sample}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        msg = f"{path}: is no Inspect log that can be read here ({error})."
        raise ConfigError(msg) from error
