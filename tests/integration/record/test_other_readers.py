"""`transcripts/*.parquet` in the hands of other people's readers."""

import asyncio
import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from runner.record.parts import encode_parts
from runner.record.schema import Kind
from tests.support.records import answered, cell_facts

NASTY = "nul \0 escape \x1b[31m lone \ud800 quote ' \" </script>"


@pytest.fixture
def transcripts(tmp_path: Path) -> Path:
    """Two shards of three jobs: text, thinking with a tool call, and hostile text."""
    folder = tmp_path / "transcripts"
    folder.mkdir()
    contents = [
        [{"type": "text", "text": "Plain."}],
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "I write."},
            {"type": "tool_use", "id": "t1", "name": "send_email", "input": {"to": "kyle"}},
        ],
        [{"type": "text", "text": NASTY}],
    ]
    for shard in range(2):
        jobs = [answered(shard, seed, content=content) for seed, content in enumerate(contents)]
        for part in encode_parts(jobs, cell_facts):
            if part.kind is Kind.TRANSCRIPTS:
                (folder / f"w1.{shard:05d}.parquet").write_bytes(part.data)
    return folder


def test_glob_when_read_by_duckdb_polars_and_pandas_then_all_see_the_same_rows(transcripts):
    pattern = f"{transcripts}/*.parquet"

    by_duckdb = duckdb.sql(
        "select transcript_id, axes->>'topic' as topic, "
        "array_to_string(json_extract_string(messages, '$[#-1].content[*].text'), '') as answer "
        f"from '{pattern}' order by 1"
    ).fetchall()
    by_polars = pl.read_parquet(pattern).sort("transcript_id")
    by_pandas = pd.read_parquet(transcripts).sort_values("transcript_id")

    ids = [row[0] for row in by_duckdb]
    assert len(set(ids)) == 6
    assert by_polars["transcript_id"].to_list() == ids == by_pandas["transcript_id"].to_list()
    assert by_polars["messages"].to_list() == by_pandas["messages"].to_list()
    assert sorted(row[2] for row in by_duckdb) == sorted(
        2 * ["Plain.", "I write.", NASTY.replace("\ud800", "�")]
    )
    assert {row[1] for row in by_duckdb} == {"t0", "t1"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scout_when_opened_then_it_lists_and_reads_every_block(transcripts):
    from inspect_scout import TranscriptContent, columns, transcripts_from

    async def read():
        selected = transcripts_from(str(transcripts)).where(columns.cell == 1)
        async with selected.reader() as reader:
            infos = [info async for info in reader.index()]
            content = TranscriptContent(messages="all", events=None)
            return infos, [await reader.read(info, content) for info in infos]

    infos, full = asyncio.run(read())

    assert len(infos) == 3
    first = infos[0]
    assert (first.model, first.task_set, first.agent_args["axes"]) == (
        *("m1", "tone"),
        {"tone": "polite", "topic": "t1"},
    )
    assert first.model_options == {"max_tokens": 400}
    answers = {t.messages[-1].text for t in full}
    assert answers == {"Plain.", "I write.", NASTY.replace("\ud800", "�")}
    called = next(t.messages[-1] for t in full if t.messages[-1].tool_calls)
    assert called.tool_calls[0].arguments == {"to": "kyle"}
    assert called.content[0].signature == "c2ln"
    assert [m.id for m in full[0].messages] == [
        f"{full[0].transcript_id[:16]}-{i}" for i in (0, 1, 2)
    ]


@pytest.mark.filterwarnings("ignore")
def test_scout_when_it_scans_then_every_transcript_has_a_result(transcripts, tmp_path):
    from inspect_scout import (
        Result,
        Scanner,
        Transcript,
        scan,
        scan_results_df,
        scanner,
        transcripts_from,
    )

    @scanner(messages="all")
    def length() -> Scanner[Transcript]:
        async def run(transcript: Transcript) -> Result:
            return Result(value=len(transcript.messages[-1].text))

        return run

    status = scan(
        scanners=[length()],
        transcripts=transcripts_from(str(transcripts)),
        scans=str(tmp_path / "scans"),
        max_processes=1,
        display="none",
    )
    frame = scan_results_df(status.location).scanners["length"]

    assert status.complete
    assert not status.errors
    assert len(frame) == 6
    expected = sorted(2 * [len("Plain."), len("I write."), len(NASTY)])
    assert sorted(int(json.loads(str(v))) for v in frame["value"]) == expected
