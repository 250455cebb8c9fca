import base64
import json
from dataclasses import replace
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.core.errors import RecordError
from runner.core.identity import job_key
from runner.core.seeds import SeedSet
from runner.core.values import EndState
from runner.record import parts
from runner.record.schema import COLUMNS, SCHEMA_VERSION, SCHEMAS, Kind
from runner.record.scout import reply_blocks
from tests.support.records import answered, attempt_of, cell_facts, failed, reply_of


def rows_of(part: parts.EncodedPart) -> list[dict]:
    return pq.ParquetFile(BytesIO(part.data)).read().to_pylist()


def encode(*finished):
    return {part.kind: part for part in parts.encode_parts(finished, cell_facts)}


def test_encode_when_jobs_are_answered_and_failed_then_each_table_has_its_rows():
    by_kind = encode(answered(1, 5, retries=2), answered(1, 6), failed(2, 7))

    assert {kind: part.rows for kind, part in by_kind.items()} == {
        Kind.TRANSCRIPTS: 2,
        Kind.FAILURES: 1,
        Kind.ATTEMPTS: 7,
    }
    assert by_kind[Kind.TRANSCRIPTS].jobs == {1: SeedSet.parse("5-6")}
    assert by_kind[Kind.ATTEMPTS].jobs == {1: SeedSet.parse("5-6"), 2: SeedSet.parse("7")}


def test_encode_when_answered_then_row_holds_facts_times_and_sums():
    (row,) = rows_of(encode(answered(3, 5, retries=1))[Kind.TRANSCRIPTS])

    assert row["transcript_id"] == job_key(f"{3:064x}", 5)
    assert row["date"] == row["started_at"] == "2026-05-28T20:26:45.000000Z"
    assert (row["total_time"], row["total_tokens"], row["attempts"]) == (3.0, 2000, 2)
    assert (row["cell"], row["seed"], row["condition"]) == (3, 5, "tone=polite,topic=t3")
    assert json.loads(row["axes"]) == {"tone": "polite", "topic": "t3"}
    assert json.loads(row["request_ids"]) == ["req_3_5_0_2"]
    assert json.loads(row["stop_reasons"]) == ["end_turn"]
    assert row["end_state"] == "answered"
    assert row["error"] is None
    assert row["schema_version"] == SCHEMA_VERSION


def test_encode_when_truncated_then_limit_says_by_what():
    done = answered(1, 1)
    reply = replace(done.replies[0], stop_reason="max_tokens")
    cut = replace(done, end_state=EndState.TRUNCATED, replies=(reply,))

    (row,) = rows_of(encode(cut)[Kind.TRANSCRIPTS])

    assert (row["limit"], row["end_state"]) == ("token", "truncated")


def test_encode_when_dead_then_failure_lists_every_attempts_error():
    (row,) = rows_of(encode(failed(1, 1, tries=3))[Kind.FAILURES])

    errors = json.loads(row["attempt_errors"])
    assert [e["number"] for e in errors] == [1, 2, 3]
    assert errors[0]["kind"] == row["failure_kind"] == "overloaded"
    assert (row["status"], row["attempts"], row["turns"]) == (529, 3, 0)
    assert [m["role"] for m in json.loads(row["messages"])] == ["user"]


def test_encode_when_too_large_then_conversation_is_left_out():
    large = replace(answered(1, 1), end_state=EndState.TOO_LARGE, error="50 MB")

    by_kind = encode(large)

    (row,) = rows_of(by_kind[Kind.FAILURES])
    assert (row["messages"], row["end_state"], row["output_tokens"]) == (None, "too_large", 500)
    assert by_kind[Kind.ATTEMPTS].rows == 1


def test_encode_when_poisoned_before_any_attempt_then_failure_has_no_attempts():
    poison = replace(failed(1, 1), end_state=EndState.POISON, attempts=())

    assert list(encode(poison)) == [Kind.FAILURES]


def test_encode_when_a_call_was_answered_twice_then_only_the_used_answer_has_tokens():
    done = answered(1, 1)
    late = attempt_of(done.job, reply_of([]), number=2, incarnation="w2")
    by_kind = encode(replace(done, attempts=(*done.attempts, late)))

    tokens = [row["output_tokens"] for row in rows_of(by_kind[Kind.ATTEMPTS])]
    assert tokens == [500, None]
    assert json.loads(rows_of(by_kind[Kind.TRANSCRIPTS])[0]["request_ids"]) == ["req_1_1_0_1"]


def test_encode_when_a_server_sends_surrogates_outside_json_then_they_are_replaced():
    done = answered(1, 1)
    reply = replace(done.replies[0], stop_reason="odd\ud800\0", model="m\udfff")

    (row,) = rows_of(encode(replace(done, replies=(reply,)))[Kind.TRANSCRIPTS])

    assert (row["stop_reason"], row["returned_model_id"]) == ("odd�\0", "m�")


def test_encode_when_rows_are_many_then_groups_are_bounded_and_ids_sorted():
    part = encode(*(answered(n % 3, n) for n in range(2100)))[Kind.TRANSCRIPTS]

    file = pq.ParquetFile(BytesIO(part.data))
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [1000, 1000, 100]
    ids = file.read(["transcript_id"])["transcript_id"].to_pylist()
    assert ids == sorted(set(ids))


def test_encode_when_rows_are_large_then_groups_are_bounded_in_bytes():
    part = encode(*(answered(1, n, prompt="x" * 3_000_000) for n in range(5)))[Kind.TRANSCRIPTS]

    file = pq.ParquetFile(BytesIO(part.data))
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("kind", list(Kind))
def test_part_when_read_then_schema_is_the_declared_one_with_meanings(kind):
    part = encode(answered(1, 1), failed(1, 2))[kind]

    schema = pq.ParquetFile(BytesIO(part.data)).schema_arrow

    assert schema.equals(SCHEMAS[kind], check_metadata=False)
    for column in COLUMNS[kind]:
        metadata = schema.field(column.name).metadata
        assert metadata[b"meaning"].decode() == column.meaning
    assert not any(pa.types.is_dictionary(field.type) for field in schema)


def test_columns_when_listed_then_each_is_declared_once_and_explained():
    for columns in COLUMNS.values():
        names = [column.name for column in columns]
        assert len(names) == len(set(names))
        assert all(column.meaning.endswith(".") for column in columns)


def test_without_jobs_when_some_are_dropped_then_the_rest_is_unchanged():
    part = encode(*(answered(c, s) for c in (1, 2) for s in range(4)))[Kind.TRANSCRIPTS]

    left = parts.without_jobs(part.data, {1: SeedSet.parse("0-2"), 9: SeedSet.parse("0")})

    assert left is not None
    assert left.jobs == {1: SeedSet.parse("3"), 2: SeedSet.parse("0-3")}
    dropped = {job_key(f"{1:064x}", s) for s in range(3)}
    assert rows_of(left) == [r for r in rows_of(part) if r["transcript_id"] not in dropped]


def test_without_jobs_when_all_are_dropped_then_nothing_is_left():
    part = encode(answered(1, 1))[Kind.TRANSCRIPTS]

    assert parts.without_jobs(part.data, {1: SeedSet.parse("1")}) is None


def test_without_attempts_when_ids_are_dropped_then_the_others_stay():
    part = encode(answered(1, 1, retries=2))[Kind.ATTEMPTS]
    ids = parts.attempt_ids(part.data)

    left = parts.without_attempts(part.data, {"w1-1-1-0-1", "unknown"})

    assert ids == {"w1-1-1-0-1", "w1-1-1-0-2", "w1-1-1-0-3"}
    assert left is not None
    assert parts.attempt_ids(left.data) == {"w1-1-1-0-2", "w1-1-1-0-3"}
    assert parts.without_attempts(part.data, ids) is None


def test_read_when_a_part_is_torn_then_it_says_so():
    data = encode(answered(1, 1))[Kind.TRANSCRIPTS].data

    with pytest.raises(RecordError, match="torn or no Parquet file"):
        parts.attempt_ids(data[:-20])


def test_read_when_a_file_is_not_ours_then_it_says_so():
    sink = BytesIO()
    pq.write_table(pa.table({"a": [1]}), sink)

    with pytest.raises(RecordError, match="no table of a sweep"):
        parts.without_jobs(sink.getvalue(), {})


def test_read_when_schema_is_newer_then_it_says_upgrade():
    newer = SCHEMAS[Kind.ATTEMPTS].with_metadata(
        {"runner.table": "attempts", "runner.schema_version": "99"}
    )
    sink = BytesIO()
    pq.write_table(newer.empty_table(), sink)

    with pytest.raises(RecordError, match="Upgrade runner"):
        parts.attempt_ids(sink.getvalue())


def test_estimate_when_text_is_long_then_it_covers_the_row():
    done = answered(1, 1, prompt="é" * 6000, content=[{"type": "text", "text": "x" * 1900}])

    row = rows_of(encode(done)[Kind.TRANSCRIPTS])[0]

    assert parts.estimate_bytes(done) >= len(row["messages"].encode())


def test_encode_when_a_tool_input_is_nested_beyond_reason_then_the_body_is_kept_whole():
    deep: object = "x"
    for _ in range(20_000):
        deep = [deep]
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": deep}}

    (row,) = rows_of(
        encode(
            answered(1, 1, content=[call]),
        )[Kind.TRANSCRIPTS]
    )

    assert "nested too deeply" in row["messages"]
    body = answered(1, 1).attempts[0].answer.body
    assert base64.b64decode(json.loads(row["raw_content"])["bodies"][0]) == body
    assert reply_blocks(row["messages"], row["raw_content"])[0][0]["name"] == "f"
