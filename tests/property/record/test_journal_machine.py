"""Any order of notes, answers, seals, publications and disk faults, then a power cut: nothing that
was acknowledged is missing, nothing published comes back, and nothing is kept for ever.
"""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.core.errors import StorageError
from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.record.journal import Journal
from runner.record.recovery import index_journal, unsealed
from tests.support.journals import HEADER, answered
from tests.support.manual_clock import ManualClock
from tests.support.memory_disk import MemoryDisk

SEEDS = st.integers(0, 3)


class JournalMachine(RuleBasedStateMachine):
    """A model of what a worker was promised, beside the journal itself."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.disk = MemoryDisk()
        self.journal = Journal(self.disk, ManualClock(), HEADER)
        self.runner.run(self.journal.open())
        self.promised: dict[int, set[str]] = {}
        """Seed to the attempts acknowledged and not sealed yet."""
        self.sealed: dict[str, dict[int, set[str]]] = {}
        """Seal, not published yet, to its jobs and their attempts."""
        self.published: dict[str, set[str]] = {}
        self.turns: dict[int, int] = {}
        self.seals = 0

    @rule(seeds=st.lists(SEEDS, min_size=1, max_size=4, unique=True))
    def answer(self, seeds):
        async def all_of_them():
            frames = []
            for seed in seeds:
                self.turns[seed] = turn = self.turns.get(seed, -1) + 1
                self.journal.note(Job(1, seed), turn, 1)
                frames.append(answered(1, seed, turn))
            calls = (self.journal.append(frame) for frame in frames)
            results = await asyncio.gather(*calls, return_exceptions=True)
            return zip(seeds, frames, results, strict=True)

        for seed, frame, result in self.runner.run(all_of_them()):
            if result is None:
                self.promised.setdefault(seed, set()).add(frame.attempt.attempt_id)
            else:
                assert isinstance(result, StorageError)

    @rule(seed=SEEDS)
    def note(self, seed):
        async def one():
            self.journal.note(Job(1, seed), 99, 1)

        self.runner.run(one())

    @rule(seeds=st.sets(SEEDS, min_size=1, max_size=2))
    def seal(self, seeds):
        self.seals += 1
        name = f"w1.{self.seals:05d}"
        try:
            self.runner.run(self.journal.begin_seal(name, {1: SeedSet.of_seeds(seeds)}))
        except StorageError:
            return
        self.sealed[name] = {s: self.promised.pop(s) for s in seeds if s in self.promised}

    @rule()
    def publish(self):
        if self.sealed:
            # One worker's seals are published in the order in which they were written.
            seal = min(self.sealed)
            jobs = self.sealed.pop(seal)
            self.published[seal] = set().union(*jobs.values()) if jobs else set()
            later = set().union(*self.sealed.values()) if self.sealed else set()
            forgotten = [Job(1, seed) for seed in jobs if seed not in later]
            self.runner.run(self.journal.forget(forgotten))

    @rule(
        which=st.sampled_from(["fail_write", "fail_sync", "fail_create"]), times=st.integers(1, 2)
    )
    def break_disk(self, which, times):
        setattr(self.disk, which, times)
        self.disk.short_by = times * 7

    @rule()
    def mend_disk(self):
        self.disk.fail_write = self.disk.fail_sync = self.disk.fail_create = 0

    @invariant()
    def a_power_cut_now_loses_nothing_and_brings_nothing_back(self):
        for extra in (0, 40):
            index = index_journal("w1", self.disk.durable(extra))
            assert index.reports == ()
            left = unsealed(index, self.published)
            found = {a.attempt_id for trace in left.values() for a in trace.attempts}
            owed = set().union(
                *self.promised.values(),
                *(ids for jobs in self.sealed.values() for ids in jobs.values()),
            )
            assert owed <= found
            assert found.isdisjoint(set().union(*self.published.values()))

    def teardown(self):
        self.mend_disk()
        self.runner.run(self.journal.durable())
        self.runner.run(self.journal.forget(Job(1, seed) for seed in range(4)))
        self.runner.run(self.journal.forget(Job(1, seed) for seed in range(4)))
        assert len(self.disk.files) <= 1  # the current segment
        self.runner.run(self.journal.close())
        assert self.disk.files == {}
        assert self.disk.misuses == []
        self.runner.close()


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestJournal = JournalMachine.TestCase
