"""Key names of a sweep directory: the only place that knows them. Pure.

    sweep.yaml                        resolved configuration
    plan/                             versioned cell tables
    transcripts/  failures/  attempts/   published shards, one kind of row each
    parts/<seal>.<kind>.parquet       sealed by workers, not published yet
    parts/<seal>.json                 the seal's marker, written last
    review/                           samples for people to label, and their labels
    journal/<incarnation>-<k>.wal     segments of one worker incarnation
    manifest/<8 digits>.json          numbered entries, the only truth and the only fence
    manifest/snapshot-<8 digits>.json state folded through the entry of that number
    events/holder-<claim>.json        who writes, with a counter
    events/coordinator-<claim>.jsonl  what that coordinator decided
    .tmp/                             unfinished files; never below another folder

Incarnations are `[a-z0-9-]` (no dot), seals `<incarnation>.<n>`, so each name is read back from
its key. Nothing here comes from a model's output.
"""

from __future__ import annotations

import re

TRANSCRIPTS = "transcripts/"
FAILURES = "failures/"
ATTEMPTS = "attempts/"
JOURNAL = "journal/"
PARTS = "parts/"
MANIFEST = "manifest/"
PLAN = "plan/"
EVENTS = "events/"
COMPACTED = "compacted/"
SUPERSEDED = "superseded/"
VERDICTS = "verdicts/"
REVIEW = "review/"
TEMPORARY = ".tmp"
CONFIGURATION = "sweep.yaml"
FOLDERS = frozenset(
    name.removesuffix("/")
    for name in (
        *(TRANSCRIPTS, FAILURES, ATTEMPTS, JOURNAL, PARTS, MANIFEST, PLAN, EVENTS, COMPACTED),
        *(SUPERSEDED, VERDICTS, REVIEW, TEMPORARY, "judging/", "report/"),
    )
)
"""What lies at the top of a sweep directory beside the configuration."""

KINDS = ("transcripts", "failures", "attempts")
"""The kinds of shards; each has a folder of its name."""

_INCARNATION = re.compile(r"[A-Za-z0-9_-]+")
_SEGMENT = re.compile(r"([A-Za-z0-9_-]+)-(\d{5,})\.wal")
_HANDED_IN = re.compile(r"journal/([A-Za-z0-9_-]+)\.journal")
_ENTRY = re.compile(r"manifest/(\d{8})\.json")
_SNAPSHOT = re.compile(r"manifest/snapshot-(\d{8})\.json")
_MARKER = re.compile(r"parts/([A-Za-z0-9_-]+\.\d{5,}[a-z]?)\.json")
_SEAL = re.compile(r"([A-Za-z0-9_-]+)\.(\d{5,})([a-z]?)")
_PART = re.compile(
    r"parts/([A-Za-z0-9_-]+\.\d{5,}[a-z]?)\.(transcripts|failures|attempts)\.parquet"
)
_HOLDER = re.compile(r"events/holder-(\d{8})\.json")


def _number(pattern: re.Pattern[str], key: str) -> int | None:
    found = pattern.fullmatch(key)
    return int(found[1]) if found else None


def entry_key(number: int) -> str:
    """Return the key of a manifest entry; numbers begin at 1."""
    return f"{MANIFEST}{number:08d}.json"


def entry_number(key: str) -> int | None:
    """Return the number of a manifest entry's key, None for any other key."""
    return _number(_ENTRY, key)


def snapshot_key(number: int) -> str:
    """Return the key of the snapshot that folds all entries up to `number`."""
    return f"{MANIFEST}snapshot-{number:08d}.json"


def snapshot_number(key: str) -> int | None:
    """Return the number of a snapshot's key, None for any other key."""
    return _number(_SNAPSHOT, key)


def holder_key(claim: int) -> str:
    """Return the key of the record in which the claimer of that number counts."""
    return f"{EVENTS}holder-{claim:08d}.json"


def event_log_key(claim: int) -> str:
    """Return the key of the event log of the coordinator with that claim."""
    return f"{EVENTS}coordinator-{claim:08d}.jsonl"


def seal_name(incarnation: str, number: int, suffix: str = "") -> str:
    """Return the name of an incarnation's seal.

    Args:
        incarnation: of the worker, or of the process that recovered a journal.
        number: counts seals of that incarnation.
        suffix: at most one small letter, for a part rewritten by the publisher.

    Raises:
        ValueError: an incarnation that could not be read back from a key.
    """
    if not _INCARNATION.fullmatch(incarnation):
        msg = f"incarnation {incarnation!r} may hold only letters, digits, - and _"
        raise ValueError(msg)
    return f"{incarnation}.{number:05d}{suffix}"


def seal_incarnation(seal: str) -> str:
    """Return the incarnation that a seal's name begins with."""
    return seal.partition(".")[0]


def split_seal(seal: str) -> tuple[str, int, str]:
    """Return what `seal_name` made a name of: incarnation, number, suffix.

    Raises:
        ValueError: no seal's name.
    """
    found = _SEAL.fullmatch(seal)
    if found is None:
        msg = f"{seal!r} is no name of a seal"
        raise ValueError(msg)
    return found[1], int(found[2]), found[3]


def marker_key(seal: str) -> str:
    """Return the key of a seal's marker."""
    return f"{PARTS}{seal}.json"


def marker_seal(key: str) -> str | None:
    """Return the seal that a marker's key names, None for any other key."""
    found = _MARKER.fullmatch(key)
    return found[1] if found else None


def part_key(seal: str, kind: str) -> str:
    """Return the key of one part file of a seal; `kind` is one of `KINDS`."""
    return f"{PARTS}{seal}.{kind}.parquet"


def shard_seal(key: str) -> str:
    """Return the seal that a shard's key names."""
    return key.rpartition("/")[2].removesuffix(".parquet")


def shard_key(kind: str, seal: str) -> str:
    """Return the key that the part of a seal gets when it is published."""
    return f"{kind}/{seal}.parquet"


def segment_name(incarnation: str, number: int) -> str:
    """Return the file name of a journal segment, below the journal folder."""
    return f"{incarnation}-{number:05d}.wal"


def segment_of(name: str) -> tuple[str, int] | None:
    """Return (incarnation, number) of a segment's file name, None for any other name."""
    found = _SEGMENT.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def handed_in_key(incarnation: str) -> str:
    """Return the key of a journal that was handed in (record/handed_in.py)."""
    return f"{JOURNAL}{incarnation}.journal"


def handed_in_of(key: str) -> str | None:
    """Return the incarnation whose journal was handed in under a key, None for any other key."""
    found = _HANDED_IN.fullmatch(key)
    return found[1] if found else None


def checked_key(key: str) -> str:
    """Return the key.

    Raises:
        ValueError: it is no plain relative path, or lies among unfinished files.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or parts[0] == TEMPORARY:
        msg = f"{key!r} is no key of a sweep directory"
        raise ValueError(msg)
    return key
