"""A damaged journal never yields a frame that was not written, nor hides more than was hit."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.record.frames import (
    FORMAT_VERSION,
    AttemptFrame,
    Frame,
    Header,
    encode,
    scan,
)
from tests.support.journals import HEADER, PROCESS, SMALL_JOURNAL, answered, frames

journals = st.lists(frames, min_size=1, max_size=8)


def layout(written: list[Frame] | tuple[Frame, ...]) -> tuple[bytes, list[int]]:
    """Return the file and the offset at which each frame begins, the file's length at the end."""
    encoded = [encode(frame) for frame in written]
    return b"".join(encoded), [0, *accumulate(len(e) for e in encoded)]


@settings(deadline=None)
@given(journals)
def test_scan_of_an_undamaged_file_returns_what_was_written(written):
    found = scan(layout(written)[0])
    assert found.frames == written
    assert not found.torn_tail
    assert not found.bad


def check_cut(written, at: int):
    data, offsets = layout(written)
    found = scan(data[:at])
    whole = sum(end <= at for end in offsets[1:])
    assert found.frames == list(written[:whole])
    assert found.torn_tail == (at not in offsets)
    assert not found.bad


def check_flip(written, at: int, bits: int):
    data, offsets = layout(written)
    damaged = bytearray(data)
    damaged[at] ^= bits
    found = scan(bytes(damaged))
    hit = sum(end <= at for end in offsets[1:])
    assert found.frames == [*written[:hit], *written[hit + 1 :]]
    last = hit == len(written) - 1
    assert found.torn_tail == last
    assert [bad.offset for bad in found.bad] == ([] if last else [offsets[hit]])


def test_scan_of_a_file_cut_at_any_byte_returns_the_whole_frames_before_it():
    for at in range(len(layout(SMALL_JOURNAL)[0])):
        check_cut(SMALL_JOURNAL, at)


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_scan_of_a_file_flipped_at_any_byte_loses_that_frame_only_and_reports_it(bits):
    for at in range(len(layout(SMALL_JOURNAL)[0])):
        check_flip(SMALL_JOURNAL, at, bits)


@settings(deadline=None)
@given(journals, st.data())
def test_scan_of_any_journal_cut_anywhere_returns_a_prefix(written, data):
    check_cut(written, data.draw(st.integers(0, len(layout(written)[0]) - 1)))


@settings(max_examples=300, deadline=None)
@given(journals, st.data())
def test_scan_of_any_journal_flipped_anywhere_returns_only_what_was_written(written, data):
    file, _ = layout(written)
    damaged = bytearray(file)
    damaged[data.draw(st.integers(0, len(file) - 1))] ^= data.draw(st.integers(1, 255))
    found = scan(bytes(damaged)).frames
    rest = iter(written)
    assert all(any(frame == other for other in rest) for frame in found)  # a subsequence
    assert len(found) >= len(written) - 1


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(bytes(64))
def test_scan_of_arbitrary_bytes_finds_nothing_and_never_raises(data):
    assert scan(data).frames == []
    assert scan(data).torn_tail == bool(data)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | frames.map(encode), max_size=8))
def test_scan_of_frames_between_garbage_finds_them_all(pieces):
    found = scan(b"".join(pieces)).frames
    assert [encode(f) for f in found] == [p for p in pieces if len(p) > 8 and scan(p).frames]


def test_scan_when_a_models_answer_spells_out_a_frame_does_not_take_it_for_one():
    """The length of the frame around it is damaged, so the reader looks for the next frame."""
    fake = encode(answered(9, 9, body=b"x" * 100))
    printable = bytes(max(b, 0x20) for b in fake)
    written = [HEADER, answered(1, 0, body=b'{"text":"' + printable + b'"}'), answered(1, 1)]
    data, offsets = layout(written)
    damaged = bytearray(data)
    damaged[offsets[1]] ^= 1
    assert scan(bytes(damaged)).frames == [written[0], written[2]]


def test_encode_of_a_lone_surrogate_from_a_server_keeps_the_frame():
    attempt = answered(1, 0).attempt
    hostile = type(attempt)(
        job=attempt.job,
        turn=0,
        number=1,
        incarnation="w1",
        started_at=0.0,
        latency_s=0.0,
        request_digest="",
        answer=type(attempt.answer)(body=b"{}", request_id="r\ud800", headers={"x": "\udfff"}),
    )
    (frame,) = scan(encode(AttemptFrame(hostile))).frames
    assert isinstance(frame, AttemptFrame)
    assert frame.attempt.answer is not None
    assert frame.attempt.answer.request_id == "r?"


def test_scan_of_a_newer_format_stops_behind_its_header():
    newer = Header(
        incarnation="w1",
        process=PROCESS,
        node="n",
        claim=1,
        sweep_id="s",
        format_version=FORMAT_VERSION + 1,
    )
    found = scan(encode(newer) + b"\xffwhatever comes next")
    assert found.frames == [newer]
    assert not found.torn_tail
    assert not found.bad
