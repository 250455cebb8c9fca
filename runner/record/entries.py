"""The kinds of manifest entries and their JSON. Pure.

    {"schema_version": 1, "kind": "publish", "nonce": …, "claim": 7, …}

`nonce` is that of the claim under which an entry was written (of itself, for a claim): whoever
reads an entry back tells from it whether it is his own. Jobs are written per cell as inclusive
ranges of seeds: `{"12": "0-24,30"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runner.core.errors import RecordError
from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet
from runner.core.values import NOTHING, Amount
from runner.record.fields import Fields

ENTRY_VERSION = 1
"""Raised when an older runner would misread an entry."""

Jobs = Mapping[int, SeedSet]
"""Cell number to seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A published file."""

    name: str
    """Its key: `transcripts/<seal>.parquet`."""
    rows: int
    bytes: int
    sha256: str
    jobs: Jobs
    """Jobs with rows in it."""
    counted: Amount = NOTHING
    """Of attempts: what they count against a budget, together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """From here on the sweep is written by this process, and by no earlier claimer."""

    nonce: str
    """Random, never used before."""
    fleet: str
    """What the claimer's workers belong to; a coordinator that restarts in it takes them over."""
    process: ProcessIdentity
    node: str
    started_at: str
    """ISO 8601, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """The plan of that version holds from here on."""

    version: int
    sha256: str = ""
    """Of its cell table."""
    sweep_id: str = ""
    """Identity of the sweep in every row; the manifest keeps it, whatever becomes of sweep.yaml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Seals become part of the record."""

    moves: tuple[tuple[str, str], ...] = ()
    """(part, shard), carried out once the entry is won."""
    drops: tuple[str, ...] = ()
    """Keys to delete after the moves: markers, parts that were rewritten, leftovers."""
    transcripts: tuple[Shard, ...] = ()
    failures: tuple[Shard, ...] = ()
    attempts: tuple[Shard, ...] = ()
    seals: tuple[str, ...] = ()
    """Names of the seals whose frames need not be recovered from a journal any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """Allowances out of the sweep's budget; no worker hears of one before its entry is won."""

    drawn: Mapping[str, Amount]
    """By worker incarnation, since it started; in the place of what an earlier entry says of it."""
    closed: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    """Incarnations that run no more, with what they may have spent beside published attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OweAgain:
    """Dead letters that are to run again; their rows in failures/ stay, as history."""

    jobs: Jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Supersede:
    """Rows of cells that are no longer planned leave transcripts/ and failures/."""

    jobs: Jobs
    """No longer recorded, nor dead letters."""
    moves: tuple[tuple[str, str], ...] = ()
    """In this order: first shards out to superseded/, then what was rewritten without the jobs in."""
    drops: tuple[str, ...] = ()
    removed: tuple[Shard, ...] = ()
    """Shards that left."""
    transcripts: tuple[Shard, ...] = ()
    """Shards that came: the rest of those that left."""
    failures: tuple[Shard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The claimer has finished and holds the sweep no longer."""

    reason: str


Entry = Claim | PlanEntry | Publish | Fund | OweAgain | Supersede | Release
_KINDS = {
    "claim": Claim,
    "plan": PlanEntry,
    "publish": Publish,
    "fund": Fund,
    "owe_again": OweAgain,
    "supersede": Supersede,
    "release": Release,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it lies in the manifest."""

    number: int
    nonce: str
    claim: int
    kind: str
    fields: Fields = field(repr=False, compare=False)
    """The entry's own fields; typed by `entry()`, folded as they are by `state.py`."""

    def entry(self) -> Entry:
        """Return the entry as a typed value.

        Raises:
            RecordError: a field is not what its kind says.
        """
        return _READERS[self.kind](self.fields)


def encode_entry(entry: Entry, *, nonce: str, claim: int) -> bytes:
    """Return the JSON of an entry.

    Args:
        entry: what it says.
        nonce: of the claim it is written under.
        claim: that claim's number; the entry's own number for a claim.
    """
    head = {
        "schema_version": ENTRY_VERSION,
        "kind": _NAMES[type(entry)],
        "nonce": nonce,
        "claim": claim,
    }
    return orjson.dumps(head | _body(entry), option=orjson.OPT_APPEND_NEWLINE)


def read_entry(data: bytes, number: int, where: str) -> Written:
    """Read an entry.

    Raises:
        RecordError: no entry, or one of a newer runner.
    """
    fields = Fields.parse(data, where)
    version = fields.integer("schema_version")
    kind = fields.text("kind")
    if version > ENTRY_VERSION:
        msg = f"{where}: schema_version {version} was written by a newer runner; upgrade this one"
        raise RecordError(msg)
    if kind not in _KINDS:
        msg = f"{where}: kind {kind!r} is unknown here; it was written by a newer runner, upgrade"
        raise RecordError(msg)
    return Written(number, fields.text("nonce"), fields.integer("claim"), kind, fields)


def jobs_json(jobs: Jobs) -> dict[str, str]:
    """Return cell numbers and seeds as JSON."""
    return {str(cell): str(seeds) for cell, seeds in sorted(jobs.items()) if len(seeds)}


def read_jobs(fields: Fields, key: str) -> dict[int, SeedSet]:
    """Read what `jobs_json` wrote.

    Raises:
        RecordError: a cell number or a range is none.
    """
    try:
        return {int(cell): SeedSet.parse(text) for cell, text in fields.mapping(key).items()}
    except (ValueError, AttributeError) as error:
        raise fields.wrong(key, f"no cells with ranges of seeds ({error})") from error


def amount_json(amount: Amount) -> list[float]:
    """Return an amount as JSON: dollars, tokens."""
    return [amount.usd, amount.tokens]


def read_amount(fields: Fields, key: str) -> Amount:
    """Read what `amount_json` wrote; nothing where the key is missing.

    Raises:
        RecordError: no pair of numbers.
    """
    match fields.raw(key):
        case None:
            return NOTHING
        case [int() | float() as usd, int() | float() as tokens]:
            return Amount(float(usd), float(tokens))
        case other:
            raise fields.wrong(key, f"{other!r} is no pair of dollars and tokens")


def amounts_json(amounts: Mapping[str, Amount]) -> dict[str, list[float]]:
    """Return amounts by name as JSON."""
    return {name: amount_json(amount) for name, amount in amounts.items()}


def read_amounts(fields: Fields, key: str) -> dict[str, Amount]:
    """Read what `amounts_json` wrote; nothing where the key is missing.

    Raises:
        RecordError: no object, or a value in it is no amount.
    """
    if not fields.has(key):
        return {}
    inner = fields.inner(key)
    return {name: read_amount(inner, name) for name in fields.mapping(key)}


def process_json(process: ProcessIdentity) -> dict[str, object]:
    """Return a process's identity as JSON."""
    return {
        "host": process.host,
        "boot_id": process.boot_id,
        "pid_namespace": process.pid_namespace,
        "pid": process.pid,
        "started": process.started,
    }


def read_process(fields: Fields) -> ProcessIdentity:
    """Read what `process_json` wrote.

    Raises:
        RecordError: a field is missing.
    """
    return ProcessIdentity(
        host=fields.text("host"),
        boot_id=fields.text("boot_id"),
        pid_namespace=fields.text("pid_namespace"),
        pid=fields.integer("pid"),
        started=fields.text("started"),
    )


def shard_json(shard: Shard) -> dict[str, object]:
    """Return a shard as JSON."""
    return {
        "name": shard.name,
        "rows": shard.rows,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "jobs": jobs_json(shard.jobs),
        **({"counted": amount_json(shard.counted)} if any(shard.counted) else {}),
    }


def read_shard(fields: Fields) -> Shard:
    """Read what `shard_json` wrote.

    Raises:
        RecordError: a field is missing.
    """
    return Shard(
        name=fields.text("name"),
        rows=fields.integer("rows"),
        bytes=fields.integer("bytes"),
        sha256=fields.text("sha256"),
        jobs=read_jobs(fields, "jobs"),
        counted=read_amount(fields, "counted"),
    )


def _body(entry: Entry) -> dict[str, Any]:
    match entry:
        case Claim():
            return {
                "fleet": entry.fleet,
                "process": process_json(entry.process),
                "node": entry.node,
                "started_at": entry.started_at,
            }
        case PlanEntry():
            return {
                "version": entry.version,
                "sha256": entry.sha256,
                "sweep_id": entry.sweep_id,
            }
        case Publish():
            return {
                "moves": entry.moves,
                "drops": entry.drops,
                "transcripts": [shard_json(s) for s in entry.transcripts],
                "failures": [shard_json(s) for s in entry.failures],
                "attempts": [shard_json(s) for s in entry.attempts],
                "seals": entry.seals,
            }
        case Fund():
            return {"drawn": amounts_json(entry.drawn), "closed": amounts_json(entry.closed)}
        case OweAgain():
            return {"jobs": jobs_json(entry.jobs)}
        case Supersede():
            return {
                "jobs": jobs_json(entry.jobs),
                "moves": entry.moves,
                "drops": entry.drops,
                "removed": [shard_json(s) for s in entry.removed],
                "transcripts": [shard_json(s) for s in entry.transcripts],
                "failures": [shard_json(s) for s in entry.failures],
            }
        case Release():
            return {"reason": entry.reason}


def _shards(fields: Fields, key: str) -> tuple[Shard, ...]:
    return tuple(read_shard(shard) for shard in fields.inners(key))


_READERS: dict[str, Callable[[Fields], Entry]] = {
    "claim": lambda f: Claim(
        nonce=f.text("nonce"),
        fleet=f.text("fleet"),
        process=read_process(f.inner("process")),
        node=f.text("node"),
        started_at=f.text("started_at"),
    ),
    "plan": lambda f: PlanEntry(
        version=f.integer("version"), sha256=f.text("sha256"), sweep_id=f.text("sweep_id")
    ),
    "publish": lambda f: Publish(
        moves=f.pairs("moves"),
        drops=f.texts("drops"),
        transcripts=_shards(f, "transcripts"),
        failures=_shards(f, "failures"),
        attempts=_shards(f, "attempts"),
        seals=f.texts("seals"),
    ),
    "fund": lambda f: Fund(drawn=read_amounts(f, "drawn"), closed=read_amounts(f, "closed")),
    "owe_again": lambda f: OweAgain(jobs=read_jobs(f, "jobs")),
    "supersede": lambda f: Supersede(
        jobs=read_jobs(f, "jobs"),
        moves=f.pairs("moves"),
        drops=f.texts("drops"),
        removed=_shards(f, "removed"),
        transcripts=_shards(f, "transcripts"),
        failures=_shards(f, "failures"),
    ),
    "release": lambda f: Release(reason=f.text("reason")),
}
