"""A seal exists from the moment its marker does, and its names can be read back."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.errors import RecordError, StorageError
from runner.core.seams import KeyMissingError
from runner.core.seeds import SeedSet
from runner.core.values import NOTHING, Amount
from runner.record import layout
from runner.record.seals import decode_marker, list_seals, read_marker, write_seal
from tests.support.memory_store import MemoryStore


@dataclass(frozen=True)
class OnePart:
    kind: str
    data: bytes
    rows: int
    jobs: dict[int, SeedSet]
    counted: Amount = NOTHING


PARTS = [
    OnePart("transcripts", b"PAR1 rows", 2, {1: SeedSet.of_seeds([3, 4])}),
    OnePart("attempts", b"PAR1 more", 5, {1: SeedSet.of_seeds([3, 4])}),
]


def test_write_seal_puts_the_marker_last_and_it_describes_the_parts():
    async def main():
        store = MemoryStore()
        written = await write_seal(store, "w1.00001", PARTS)
        assert store.writes[-1] == "parts/w1.00001.json"
        assert sorted(store.writes[:-1]) == [
            "parts/w1.00001.attempts.parquet",
            "parts/w1.00001.transcripts.parquet",
        ]
        assert await read_marker(store, "w1.00001") == written
        assert written.files[0].sha256 == hashlib.sha256(b"PAR1 rows").hexdigest()
        assert (written.files[0].rows, written.files[0].bytes) == (2, 9)
        assert await list_seals(store) == ["w1.00001"]

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["before", "after"])
def test_write_seal_when_the_store_fails_leaves_no_marker_and_can_be_repeated(fault):
    async def main():
        store = MemoryStore()
        setattr(store, fault, 1)
        with pytest.raises(StorageError):
            await write_seal(store, "w1.00001", PARTS)
        assert await list_seals(store) == []
        with pytest.raises(KeyMissingError):
            await read_marker(store, "w1.00001")
        await write_seal(store, "w1.00001", PARTS)
        assert await list_seals(store) == ["w1.00001"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b'{"schema_version": 9}', "upgrade"),
        (b'{"schema_version": 1, "seal": "other.00001", "files": []}', "file name"),
        (b'{"schema_version": 1, "seal": "w1.00001", "files": [{"kind": "../x"}]}', "kind"),
        (b'{"schema_version": 1, "seal": "w1.00001", "files": [7]}', r"files\[0\]"),
    ],
)
def test_read_marker_of_a_damaged_one_names_file_and_key(data, says):
    with pytest.raises(RecordError, match=says) as raised:
        decode_marker(data, "w1.00001", "parts/w1.00001.json")
    assert "parts/w1.00001.json" in str(raised.value)


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
NUMBERS = st.integers(1, 10**9)


@settings(deadline=None)
@given(NAMES, NUMBERS, st.sampled_from(["", "r", "x"]), st.sampled_from(layout.KINDS))
def test_names_are_read_back_from_their_keys(incarnation, number, suffix, kind):
    seal = layout.seal_name(incarnation, number, suffix)
    assert layout.seal_incarnation(seal) == incarnation
    assert layout.marker_seal(layout.marker_key(seal)) == seal
    assert layout.marker_seal(layout.part_key(seal, kind)) is None
    assert layout.segment_of(layout.segment_name(incarnation, number)) == (incarnation, number)


@settings(deadline=None)
@given(st.integers(1, 99_999_999))
def test_numbers_are_read_back_from_their_keys(number):
    assert layout.entry_number(layout.entry_key(number)) == number
    assert layout.snapshot_number(layout.snapshot_key(number)) == number
    assert layout.entry_number(layout.snapshot_key(number)) is None


@pytest.mark.parametrize("incarnation", ["", "a.b", "a/b", "ä", "a b"])
def test_seal_name_of_an_incarnation_that_could_not_be_read_back_is_refused(incarnation):
    with pytest.raises(ValueError, match="incarnation"):
        layout.seal_name(incarnation, 1)
