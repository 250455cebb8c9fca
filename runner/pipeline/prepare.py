"""From a configuration and a directory to what a driver session will do there.

Reads the sweep, compares plans, and says how many jobs are recorded, new and owed, and why; or
refuses, naming what to do. Writes nothing: what changes is handed to the coordinator as a
`Preamble`, to be written under its claim.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

from pyroaring import BitMap

from runner.config.load import load_resolved
from runner.config.resolved import dump_resolved, resolved_facts, same_configuration
from runner.config.schema import SweepConfig
from runner.config.source import Source
from runner.core.clock import SystemClock
from runner.core.errors import (
    CellsChangedError,
    ConfigError,
    RecordError,
    StorageError,
    SweepHeldError,
    SweepStateError,
)
from runner.core.process import LinuxProcesses
from runner.core.seams import KeyMissingError, Store
from runner.core.seeds import SeedSet
from runner.core.values import NOTHING
from runner.dispatch.terms import Preamble
from runner.pipeline.grading import check_graders
from runner.pipeline.shared_budget import spent_elsewhere
from runner.pipeline.supersede import supersede_entry
from runner.plan.diff import Difference, compare, explain
from runner.plan.table import StoredPlan
from runner.providers.price_list import price_source, tariffs_of
from runner.record.budget import FACT, since_of, stated
from runner.record.control import Control, read_control
from runner.record.entries import Entry, OweAgain, PlanEntry
from runner.record.holder import Found, Standing, who_holds
from runner.record.layout import CONFIGURATION, FOLDERS
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.plan_file import encode_plan, plan_key, read_plan
from runner.record.state import SweepState, seed_set
from runner.scenarios.axes import label
from runner.scenarios.book import Book
from runner.scenarios.build import build_book
from runner.scenarios.findings import Findings
from runner.scenarios.lint import lint_analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user allows beyond the configuration."""

    retry_failed: bool = False
    """Owe dead letters again."""
    supersede: bool = False
    """Move the rows of recorded cells that changed or vanished to superseded/."""
    take_over: bool = False
    """Do not look whether another process holds the sweep."""
    yes: bool = False
    """Spend what it costs, however much that is."""
    keep_going: bool = False
    """Leave the tripwire off for this session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The jobs of the plan, before anything is done."""

    planned: int
    recorded: int
    dead: int
    """Dead letters that stay so."""
    new: int
    """Owed, and not in the plan that the sweep had before."""
    again: int
    """Dead letters owed again."""
    outside: int
    """Jobs of planned cells that have ended, with seeds that are not planned any more."""

    @property
    def owed(self) -> int:
        """Jobs to run."""
        return self.planned - self.recorded - self.dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sweep, ready to be run."""

    book: Book
    directory: Place
    counts: Counts
    preamble: Preamble
    released: bool
    """The last claimer left in order (or there never was one): nothing waits to be recovered."""
    exists: bool
    """The directory holds a sweep already."""
    rewritten: bool
    """Its sweep.yaml says something else: what is declared under `analysis:`, say."""
    control: Control
    """What `runner control` has changed, and this session will obey."""


async def prepare(
    config: SweepConfig, directory: Place, choices: Choices, *, source: Source | None = None
) -> Prepared:
    """Work out what a session on this directory would do.

    Args:
        config: resolved.
        directory: of the sweep; need not exist.
        choices: what the user allows.
        source: where the configuration's keys were written, for messages.

    Raises:
        ConfigError: scenarios that do not render, cells under two names, unknown graders, …
        SweepStateError: the directory is somebody else's.
        SweepHeldError: a live process writes the sweep.
        CellsChangedError: recorded cells changed or vanished, and `supersede` is not chosen.
        RecordError: the sweep's files are damaged, or a newer runner's.
        StorageError: the directory cannot be read.
    """
    store = open_store(directory)
    state = await load_state(store)
    if not state.head:
        await _refuse_other_files(directory)
    if not choices.take_over:
        _refuse_held(await _holder(store, state, config), directory)
    stored = await read_plan(store, state.plan_version) if state.plan_version else None
    before = await _written(store)
    facts = resolved_facts(before) if before else {}
    book = build_book(
        config,
        numbers=stored.numbers if stored else None,
        next_number=stored.plan.next_number if stored else 0,
        version=stored.plan.version if stored else 1,
        sweep_id=state.sweep_id or secrets.token_hex(8),
        tariffs=tariffs_of(config),
        source=source,
    )
    _refuse_graders(book, source)
    if source is not None:  # `runner resume` goes on with what was once begun
        _refuse_contrasts(book, source)
    budget = stated(config.budget, facts, state.head)
    entries: list[Entry] = []
    configuration = _configuration(book, facts, budget)
    files: list[tuple[str, bytes]] = [(CONFIGURATION, configuration.encode())]
    if stored is not None:
        difference = _recorded_only(
            compare(stored.plan, stored.parts, book.plan, book.parts), state
        )
        if not difference.compatible:
            if not choices.supersede:
                raise CellsChangedError(_refusal(difference, directory))
            numbers = {
                c.number for c in (*(x.recorded for x in difference.changed), *difference.vanished)
            }
            entries.append(await supersede_entry(store, state, numbers))
    if stored is None or _differs(stored, book):
        book.plan.version = state.plan_version + 1
        table = encode_plan(book.plan, book.parts_json)
        files.append((plan_key(book.plan.version), table))
        sha256 = hashlib.sha256(table).hexdigest()
        entries.append(PlanEntry(version=book.plan.version, sha256=sha256, sweep_id=book.sweep_id))
    counts = _count(book, state, stored, retry=choices.retry_failed)
    if counts.again:
        entries.append(OweAgain(jobs=_dead(book, state)))
    return Prepared(
        book=book,
        directory=directory,
        counts=counts,
        preamble=Preamble(
            base=state.head,
            files=tuple(files),
            entries=tuple(entries),
            elsewhere=await spent_elsewhere(directory, state) if config.budget.limited else NOTHING,
            budget_since=since_of(budget),
        ),
        released=state.is_free,
        exists=state.head > 0,
        rewritten=not same_configuration(before, configuration),
        control=await _control(store, since_of(budget)),
    )


async def _refuse_other_files(directory: Place) -> None:
    """Begin no sweep among files that are not of one; what a crash before the claim left is."""
    try:
        names = await directory.names()
    except (FileNotFoundError, NotADirectoryError):
        return  # the first write makes it, or says what is wrong
    except OSError as error:
        msg = f"{directory}: cannot be read ({error.strerror}). Choose another `output`."
        raise StorageError(msg) from None
    foreign = [n for n in names if n not in FOLDERS and n[0] != "." and n != "lost+found"]
    if foreign:
        msg = (
            f"{directory}: not empty and no sweep ({', '.join(foreign[:3])} …). Choose another "
            "`output`: output=outputs/NAME"
        )
        raise SweepStateError(msg)


def _refuse_graders(book: Book, source: Source | None) -> None:
    findings = Findings(source)
    check_graders(book, findings)
    if findings.errors:
        raise ConfigError(*map(str, findings.errors))


def _refuse_contrasts(book: Book, source: Source) -> None:
    """Refuse declared contrasts that nothing could answer: a later one would be exploratory."""
    findings = Findings(source)
    axes = {(a, label(v)) for cell in book.plan.cells for a, v in cell.axes.items()}
    lint_analysis(book.config, findings, axes)
    if findings.errors:
        *others, last = map(str, findings.errors)
        raise ConfigError(
            *others, f"{last}\n  (to run a part without what is declared: 'analysis={{}}')"
        )


async def read_configuration(directory: Place, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read the configuration that a sweep was last run with.

    Args:
        directory: of the sweep.
        overrides: `key=value`, applied on top.

    Raises:
        ConfigError: an override is none, gives a key what it cannot take, or another `output`.
        SweepStateError: the directory holds no sweep.
        RecordError: the file is damaged, or a newer runner's.
        StorageError: it cannot be read.
    """
    if any(o.partition("=")[0].strip() == "output" for o in overrides):
        msg = (
            f"command line  output: a sweep goes on where it lies, in {directory}. To move it, move the "
            "directory; for a new sweep: runner sweep CONFIG output=NAME"
        )
        raise ConfigError(msg)
    file = f"{directory}/{CONFIGURATION}"
    try:
        text = (await open_store(directory).get(CONFIGURATION)).decode(errors="replace")
    except KeyMissingError:
        msg = f"{directory}: no sweep here ({CONFIGURATION} is missing). Start one: runner sweep CONFIG"
        raise SweepStateError(msg) from None
    return load_resolved(text, file, overrides)


async def _holder(store: Store, state: SweepState, config: SweepConfig) -> Found:
    return await who_holds(
        store,
        LinuxProcesses(),
        SystemClock(),
        state,
        take_over_s=config.engine.take_over_s,
    )


def _refuse_held(found: Found, directory: Place) -> None:
    if found.standing in {Standing.FREE, Standing.DEAD}:
        return
    where = shlex.quote(str(directory))
    msg = (
        f"{directory} is being written by {found}.\n"
        f"Watch it: runner status {where}    Stop it: runner stop {where}"
    )
    raise SweepHeldError(msg)


def _refusal(difference: Difference, directory: Place) -> str:
    lines = "\n".join(f"  {line}" for line in explain(difference))
    return (
        f"{directory}: recorded cells changed or vanished:\n{lines}\n"
        "Nothing was started. Write to a new directory (output=outputs/NAME), or move the rows of "
        "these cells to superseded/ and go on: runner sweep CONFIG --supersede"
    )


def _recorded_only(difference: Difference, state: SweepState) -> Difference:
    """Leave out what has no row yet: an unrecorded cell may change freely."""

    def has_rows(number: int) -> bool:
        return bool(state.recorded.get(number) or state.dead.get(number))

    return replace(
        difference,
        changed=tuple(c for c in difference.changed if has_rows(c.recorded.number)),
        vanished=tuple(c for c in difference.vanished if has_rows(c.number)),
    )


def _differs(stored: StoredPlan, book: Book) -> bool:
    before, now = stored.plan, book.plan
    if before.seed_block != now.seed_block or len(before.cells) != len(now.cells):
        return True
    return any(
        (a.number, a.digest, a.seeds, a.scenario, a.condition, a.model)
        != (b.number, b.digest, b.seeds, b.scenario, b.condition, b.model)
        for a, b in zip(before.cells, now.cells, strict=True)
    )


def _count(book: Book, state: SweepState, stored: StoredPlan | None, *, retry: bool) -> Counts:
    before = {c.number: c.seeds for c in stored.plan.cells} if stored else {}
    recorded = dead = new = outside = 0
    for cell in book.plan.cells:
        for bits in (state.recorded.get(cell.number), state.dead.get(cell.number)):
            outside += len(bits) - _within(bits, cell.seeds) if bits is not None else 0
        recorded += _within(state.recorded.get(cell.number), cell.seeds)
        dead += _within(state.dead.get(cell.number), cell.seeds)
        known = before.get(cell.number)
        if known is None:
            new += len(cell.seeds)
        elif known is not cell.seeds and known != cell.seeds:
            new += len(cell.seeds.minus(known))
    return Counts(
        planned=book.plan.jobs,
        recorded=recorded,
        dead=0 if retry else dead,
        new=new,
        again=dead if retry else 0,
        outside=outside,
    )


def _within(bits: BitMap | None, seeds: SeedSet) -> int:
    return 0 if bits is None else sum(bits.range_cardinality(a, b) for a, b in seeds.ranges)


def _dead(book: Book, state: SweepState) -> Mapping[int, SeedSet]:
    return {n: seed_set(bits) for n, bits in state.dead.items() if n in book.plan and bits}


async def _control(store: Store, budget_since: int) -> Control:
    try:
        return (await read_control(store)).since(budget_since)
    except RecordError:
        return Control()  # the coordinator tells of it


async def _written(store: Store) -> str:
    """Return the text of sweep.yaml, empty where there is none."""
    try:
        return (await store.get(CONFIGURATION)).decode(errors="replace")
    except KeyMissingError:
        return ""


def _configuration(book: Book, before: Mapping[str, str], budget: str) -> str:
    """Return sweep.yaml: the resolved configuration, and what ran it."""
    facts = {
        "sweep_id": book.sweep_id,
        "runner": version("runner"),
        "prices": price_source(),
        "python": platform.python_version(),
        "git_commit": _git_commit() or before.get("git_commit", "unknown"),
        FACT: budget,
    }
    return dump_resolved(book.config, facts)


def _git_commit() -> str | None:
    """Return the commit of the working directory, where it is a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # the user's own git
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
