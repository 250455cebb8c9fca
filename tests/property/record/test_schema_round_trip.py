"""Whatever a model says comes back as it was, and every reader opens the file."""

from __future__ import annotations

from io import BytesIO

import duckdb
import orjson
import polars as pl
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.identity import job_key
from runner.record.parts import encode_parts
from runner.record.schema import Kind
from runner.record.scout import reply_blocks
from tests.support.records import answered, cell_facts

nasty = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),
        st.sampled_from('\0\x1b"\\\r\n\u2028\ufeff{}[]'),
    ),
    max_size=30,
)
json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), nasty),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(nasty, inner, max_size=3)),
    max_leaves=5,
)
block = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, nasty),
    st.builds(
        lambda text, cited: {"type": "text", "text": text, "citations": cited}, nasty, json_value
    ),
    st.builds(
        lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, nasty, nasty
    ),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, nasty),
    st.builds(
        lambda call, name, given: {"type": "tool_use", "id": call, "name": name, "input": given},
        nasty,
        nasty,
        json_value,
    ),
    st.builds(lambda data: {"type": "unheard_of", "data": data}, json_value),
)


@settings(max_examples=80, deadline=None)
@given(
    contents=st.lists(st.lists(block, max_size=4), min_size=1, max_size=4),
    prompt=nasty,
    system=st.none() | nasty,
)
def test_rows_when_text_is_nasty_then_every_block_survives_and_readers_agree(
    contents, prompt, system, tmp_path_factory
):
    jobs = [
        answered(1, seed, content=content, prompt=prompt, system=system)
        for seed, content in enumerate(contents)
    ]

    part = next(p for p in encode_parts(jobs, cell_facts) if p.kind is Kind.TRANSCRIPTS)

    rows = pq.ParquetFile(BytesIO(part.data)).read().to_pylist()
    by_id = {row["transcript_id"]: row for row in rows}
    for seed, content in enumerate(contents):
        row = by_id[job_key(f"{1:064x}", seed)]
        assert reply_blocks(row["messages"], row["raw_content"]) == [content]
        assert len(orjson.loads(row["messages"])) == row["message_count"]
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    path.write_bytes(part.data)
    counted = duckdb.sql(
        "select count(*), count(messages->'$[#-1].content'), count(try_cast(raw_content as json)),"
        f" count(raw_content) from '{path}'"
    ).fetchall()
    ((rows_n, contents_n, raw_json, raw_n),) = counted
    assert rows_n == contents_n == len(contents)
    assert raw_json == raw_n
    assert pl.read_parquet(path)["messages"].to_list() == [row["messages"] for row in rows]
