"""What the manifest adds up to: recorded and dead jobs, shards, the last claim. No I/O.

Jobs are kept as one bitmap of seeds per cell, so a sweep of ten million jobs in ten cells costs a
few kilobytes to a few megabytes. Entries are folded from their JSON as it is: typed values for
each shard of each entry would be most of the time of a load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from pyroaring import BitMap

from runner.core.errors import RecordError
from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.limits.ledger import Ledger
from runner.record.entries import (
    Claim,
    Written,
    amount_json,
    amounts_json,
    encode_entry,
    read_amount,
    read_amounts,
    read_entry,
)
from runner.record.fields import Fields
from runner.record.layout import KINDS, seal_incarnation, shard_seal
from runner.record.seal_set import SealSet

SNAPSHOT_VERSION = 1

Seeds = dict[int, BitMap]
"""Cell number to the seeds in question; a cell without any is absent."""


@dataclass(slots=True)
class ShardTotals:
    """Counts over the published shards of one kind."""

    files: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ClaimWritten:
    """A claim and the number under which it was won."""

    number: int
    claim: Claim


def _totals() -> dict[str, ShardTotals]:
    return {kind: ShardTotals() for kind in KINDS}


@dataclass(slots=True, kw_only=True)
class SweepState:
    """All entries up to `head`, folded."""

    head: int = 0
    """Number of the last entry, 0 in an empty manifest."""
    recorded: Seeds = field(default_factory=dict[int, BitMap])
    """Jobs with a row in transcripts/."""
    dead: Seeds = field(default_factory=dict[int, BitMap])
    """Jobs whose last word is a row in failures/ and that nobody owes again."""
    last_claim: ClaimWritten | None = None
    released: str | None = None
    """Why the last claimer let go; None while it holds, or may hold."""
    plan_version: int = 0
    """0 before the first plan."""
    sweep_id: str = ""
    """As the last plan's entry says; empty before the first."""
    published_seals: SealSet = field(default_factory=SealSet)
    """Those of all times, see `seal_set.py`."""
    shards: dict[str, ShardTotals] = field(default_factory=_totals)
    """By kind: transcripts, failures, attempts."""
    ledger: Ledger = field(default_factory=Ledger)
    """What was spent, and what workers may spend."""
    snapshot: int = 0
    """Number of the snapshot that this state began with, or that it was written to last."""
    entries_since_snapshot: dict[int, Written] = field(default_factory=dict[int, Written])
    """Entries whose moves a dead coordinator may have left undone, by number."""
    reports: list[str] = field(default_factory=list[str])
    """Damage met while loading that did no harm, one line each."""

    @property
    def is_free(self) -> bool:
        """Return whether nobody has claimed it, or the last claimer left in order."""
        return self.last_claim is None or self.released is not None

    def ended(self) -> Seeds:
        """Return the seeds that are recorded or dead letters, by cell."""
        both = {*self.recorded, *self.dead}
        return {n: self.recorded.get(n, BitMap()) | self.dead.get(n, BitMap()) for n in both}

    def is_recorded(self, job: Job) -> bool:
        """Return whether a job has its final row."""
        seeds = self.recorded.get(job.cell)
        return seeds is not None and job.seed in seeds

    def is_dead(self, job: Job) -> bool:
        """Return whether a job is a dead letter."""
        seeds = self.dead.get(job.cell)
        return seeds is not None and job.seed in seeds

    @property
    def recorded_jobs(self) -> int:
        """Number of recorded jobs."""
        return sum(len(seeds) for seeds in self.recorded.values())

    @property
    def dead_jobs(self) -> int:
        """Number of dead letters."""
        return sum(len(seeds) for seeds in self.dead.values())

    def overlap(self, jobs: Mapping[int, SeedSet]) -> dict[int, SeedSet]:
        """Return those of the jobs that are recorded."""
        found: dict[int, SeedSet] = {}
        for cell, seeds in jobs.items():
            known = self.recorded.get(cell)
            if known is None:
                continue
            common = known & bitmap(seeds)
            if common:
                found[cell] = seed_set(common)
        return found

    def fold(self, written: Written) -> None:
        """Add the next entry.

        Raises:
            RecordError: a gap before it, or a field that is not what its kind says.
        """
        if written.number != self.head + 1:
            msg = f"{written.fields.where}: follows entry {self.head}; entries between are missing"
            raise RecordError(msg)
        _FOLDS[written.kind](self, written)
        self.head = written.number
        self.entries_since_snapshot[written.number] = written

    def encode(self) -> bytes:
        """Return the snapshot of this state as JSON."""
        claim = self.last_claim
        return orjson.dumps(
            {
                "schema_version": SNAPSHOT_VERSION,
                "head": self.head,
                "recorded": _seeds_json(self.recorded),
                "dead": _seeds_json(self.dead),
                "claim": None
                if claim is None
                else {"number": claim.number, "entry": _claim_json(claim)},
                "released": self.released,
                "plan_version": self.plan_version,
                "sweep_id": self.sweep_id,
                "published_seals": self.published_seals.to_json(),
                "shards": {
                    kind: [totals.files, totals.rows, totals.bytes]
                    for kind, totals in self.shards.items()
                },
                "ledger": _ledger_json(self.ledger),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


def decode_state(data: bytes, where: str) -> SweepState:
    """Read what `SweepState.encode` wrote.

    Raises:
        NewerSnapshotError: written by a newer runner.
        RecordError: damaged.
    """
    fields = Fields.parse(data, where)
    version = fields.integer("schema_version")
    if version > SNAPSHOT_VERSION:
        msg = f"{where}: schema_version {version} was written by a newer runner; upgrade this one"
        raise NewerSnapshotError(msg)
    head = fields.integer("head")
    claim: ClaimWritten | None = None
    if fields.has("claim"):
        inner = fields.inner("claim")
        number = inner.integer("number")
        entry = read_entry(orjson.dumps(inner.mapping("entry")), number, where).entry()
        assert isinstance(entry, Claim)
        claim = ClaimWritten(number, entry)
    shards = {kind: _read_totals(fields.inner("shards"), kind) for kind in KINDS}
    state = SweepState(
        head=head,
        last_claim=claim,
        released=fields.optional_text("released"),
        plan_version=fields.integer("plan_version"),
        sweep_id=fields.text("sweep_id"),
        published_seals=_read_seals(fields),
        shards=shards,
        ledger=_read_ledger(fields.inner("ledger")) if fields.has("ledger") else Ledger(),
        snapshot=head,
    )
    _add(state.recorded, fields, "recorded")
    _add(state.dead, fields, "dead")
    return state


class NewerSnapshotError(RecordError):
    """A snapshot of a newer runner: no older one may be used in its place."""


def bitmap(seeds: SeedSet) -> BitMap:
    """Return a set of seeds as a bitmap."""
    found = BitMap()
    for start, stop in seeds.ranges:
        found.add_range(start, stop)
    return found


def seed_set(seeds: BitMap) -> SeedSet:
    """Return a bitmap as a set of ranges, in time proportional to the ranges, not the seeds."""
    firsts = seeds - seeds.shift(1)
    lasts = seeds - seeds.shift(-1)
    return SeedSet(tuple((a, b + 1) for a, b in zip(firsts, lasts, strict=True)))


def _seeds_json(seeds: Seeds) -> dict[str, str]:
    return {str(cell): _ranges(found) for cell, found in sorted(seeds.items()) if found}


def _ranges(seeds: BitMap) -> str:
    """Return inclusive ranges; most cells are one range, which is told from its ends."""
    first, last = seeds.min(), seeds.max()
    if len(seeds) == last - first + 1:
        return f"{first}-{last}" if last > first else str(first)
    return str(seed_set(seeds))


def _claim_json(claim: ClaimWritten) -> object:
    return orjson.loads(encode_entry(claim.claim, nonce=claim.claim.nonce, claim=claim.number))


def _read_totals(shards: Fields, kind: str) -> ShardTotals:
    match shards.raw(kind):
        case [int() as files, int() as rows, int() as size]:
            return ShardTotals(files, rows, size)
        case other:
            raise shards.wrong(kind, f"{other!r} is no [files, rows, bytes]")


def _read_seals(fields: Fields) -> SealSet:
    key = "published_seals"
    try:
        return SealSet.of_json(fields.mapping(key))
    except (ValueError, AttributeError) as error:
        raise fields.wrong(key, f"no ranges by incarnation ({error})") from error


def _ledger_json(ledger: Ledger) -> dict[str, object]:
    return {
        "spent": amount_json(ledger.spent),
        "unproven": amount_json(ledger.unproven),
        "drawn": amounts_json(ledger.drawn),
        "shown": amounts_json(ledger.shown),
        "judged": amount_json(ledger.judged),
    }


def _read_ledger(fields: Fields) -> Ledger:
    return Ledger(
        spent=read_amount(fields, "spent"),
        unproven=read_amount(fields, "unproven"),
        drawn=read_amounts(fields, "drawn"),
        shown=read_amounts(fields, "shown"),
        judged=read_amount(fields, "judged"),
    )


def _add(to: Seeds, fields: Fields, key: str) -> list[tuple[int, BitMap]]:
    """Add cells and ranges as they are written; return what was added per cell."""
    added: list[tuple[int, BitMap]] = []
    cells = fields.mapping(key)
    try:
        for cell, text in cells.items():
            seeds = BitMap()
            for item in text.split(","):
                first, _, last = item.partition("-")
                seeds.add_range(int(first), int(last or first) + 1)
            number = int(cell)
            added.append((number, seeds))
            known = to.get(number)
            if known is None:
                to[number] = seeds
            else:
                known.update(seeds)
    except (ValueError, AttributeError, OverflowError) as error:
        raise fields.wrong(key, f"no cells with ranges of seeds ({error})") from error
    return added


def _remove(from_: Seeds, cells: list[tuple[int, BitMap]]) -> None:
    for cell, seeds in cells:
        known = from_.get(cell)
        if known is not None:
            known.difference_update(seeds)
            if not known:
                del from_[cell]


def _fold_claim(state: SweepState, written: Written) -> None:
    entry = written.entry()
    assert isinstance(entry, Claim)
    state.last_claim = ClaimWritten(written.number, entry)
    state.released = None


def _fold_plan(state: SweepState, written: Written) -> None:
    state.plan_version = written.fields.integer("version")
    state.sweep_id = written.fields.text("sweep_id")


def _fold_publish(state: SweepState, written: Written) -> None:
    fields = written.fields
    failures = _fold_shards(state, fields, "failures", state.dead)
    transcripts = _fold_shards(state, fields, "transcripts", state.recorded)
    _fold_shards(state, fields, "attempts", None)
    for shard in fields.inners("attempts"):
        incarnation = seal_incarnation(shard_seal(shard.text("name")))
        state.ledger.publish(incarnation, read_amount(shard, "counted"))
    _remove(state.dead, transcripts)
    # An answer outlives a dead letter of the same job, whichever comes first.
    _remove(state.dead, [(c, s & state.recorded[c]) for c, s in failures if c in state.recorded])
    key = "seals"
    try:
        state.published_seals.update(fields.texts(key))
    except ValueError as error:
        raise fields.wrong(key, str(error)) from error


def _fold_shards(
    state: SweepState, fields: Fields, kind: str, jobs: Seeds | None
) -> list[tuple[int, BitMap]]:
    added: list[tuple[int, BitMap]] = []
    totals = state.shards[kind]
    for shard in fields.inners(kind):
        totals.files += 1
        totals.rows += shard.integer("rows")
        totals.bytes += shard.integer("bytes")
        if jobs is not None:
            added += _add(jobs, shard, "jobs")
    return added


def _fold_fund(state: SweepState, written: Written) -> None:
    state.ledger.draw(read_amounts(written.fields, "drawn"))
    state.ledger.close(read_amounts(written.fields, "closed"))


def _fold_owe_again(state: SweepState, written: Written) -> None:
    _remove(state.dead, _add({}, written.fields, "jobs"))


def _fold_supersede(state: SweepState, written: Written) -> None:
    fields = written.fields
    gone = _add({}, fields, "jobs")
    _remove(state.recorded, gone)
    _remove(state.dead, gone)
    for removed in fields.inners("removed"):
        totals = state.shards.get(removed.text("name").partition("/")[0])
        if totals is not None:
            totals.files -= 1
            totals.rows -= removed.integer("rows")
            totals.bytes -= removed.integer("bytes")
    _fold_shards(state, fields, "transcripts", None)
    _fold_shards(state, fields, "failures", None)


def _fold_release(state: SweepState, written: Written) -> None:
    state.released = written.fields.text("reason")


_FOLDS: dict[str, Callable[[SweepState, Written], None]] = {
    "claim": _fold_claim,
    "plan": _fold_plan,
    "publish": _fold_publish,
    "fund": _fold_fund,
    "owe_again": _fold_owe_again,
    "supersede": _fold_supersede,
    "release": _fold_release,
}
