"""`runner import`, then what it says to type next, against the simulator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from runner.config.load import load_config
from runner.pipeline.trying import narrow
from runner.scenarios.build import build_book
from tests.integration.simulate.test_command import FAST, simulator
from tests.support.commands import Bench

NASTY = "Cost: $5 ${HOME} ${oc.env:HOME} {name} {{ name }} {% raw %} {# c #} ??? \\n \u2028 'q' \"q\": - #"
"""Everything that means something to a template, to OmegaConf or to YAML."""
CALLED = [
    {"role": "system", "content": NASTY},
    {"role": "user", "content": "Look it up."},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "c1", "function": {"name": "look", "arguments": '{"at": "{{ x }}"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": NASTY},
]
TOOLS = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, "", capsys.readouterr)


def rows_of(bench: Bench, name: str) -> dict[str, list[dict[str, object]]]:
    import pyarrow.parquet as pq

    files = (bench.folder / f"outputs/{name}/transcripts").glob("*.parquet")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert all(row["simulated"] for row in rows)
    return {json.loads(row["axes"])["prompt"]: json.loads(row["messages"]) for row in rows}


@pytest.mark.parametrize("count", [2, 45], ids=["in the configuration", "in a file beside it"])
def test_imported_set_when_it_is_swept_sends_every_text_as_it_was(bench: Bench, count: int) -> None:
    more = [{"id": f"p{i}", "prompt": f"{NASTY} {i}", "system": ""} for i in range(1, count)]
    first = {"id": "called", "messages": CALLED, "tools": TOOLS, "source_url": NASTY}
    lines = [json.dumps(row) for row in (first, *more)]
    (bench.folder / "set.jsonl").write_text("\n".join(lines) + "\n{\n" + lines[-1])
    said = bench.ok("import", "set.jsonl", "--to", "configs/mine.yaml")
    assert f"{count} prompts of set.jsonl (jsonl)" in said.out
    assert f"set.jsonl:{count + 1}: no JSON" in said.out
    assert f"set.jsonl:{count + 2}: as set.jsonl:{count}" in said.out
    assert (bench.folder / "configs/mine-prompts.jsonl").exists() == (count > 40)
    linted = bench.ok("lint", "configs/mine.yaml")
    assert "0 errors, 0 warnings" in linted.out
    assert "it is sent as it is" in linted.out.lower()
    assert f"{count} jobs" in bench.ok("plan", "configs/mine.yaml").out
    shown = bench.ok("show", "configs/mine.yaml", "--condition", "prompt=called")
    assert '"at": "{{ x }}"' in shown.out
    with simulator(*FAST, "--port", "0") as (url, _):
        bench.ok("sweep", "configs/mine.yaml", f"models.simulated.base_url={url}")
    rows = rows_of(bench, "mine")
    assert len(rows) == count
    assert rows["p1"][0]["content"] == f"{NASTY} 1"
    system, user, call, result, answer = rows["called"]
    assert (system["content"], user["content"], result["content"]) == (NASTY, "Look it up.", NASTY)
    assert call["tool_calls"][0]["arguments"] == {"at": "{{ x }}"}
    assert (call["source"], answer["source"]) == ("input", "generate")
    bench.ok("verify", "outputs/mine")


def test_imported_set_when_it_is_imported_again_is_not_overwritten(bench: Bench) -> None:
    (bench.folder / "a.txt").write_text("Hi")
    (bench.folder / "set").mkdir()
    (bench.folder / "set/a.txt").write_text("Hi")
    bench.ok("import", "set", "--to", "mine.yaml")
    again = bench.run("import", "set", "--to", "mine.yaml")
    assert again.code == 2
    assert "--force" in again.err
    bench.ok("import", "set", "--to", "mine.yaml", "--force")


def test_imported_set_can_be_narrowed_and_crossed_with_axes(bench: Bench) -> None:
    lines = [json.dumps({"id": f"p{i}", "prompt": f"Q{i}"}) for i in range(50)]
    (bench.folder / "set.jsonl").write_text("\n".join(lines))
    bench.ok("import", "set.jsonl", "--to", "configs/mine.yaml")
    path = bench.folder / "configs/mine.yaml"
    made = yaml.safe_load(path.read_text())
    (scenario,) = made["scenarios"]
    scenario |= {
        "axes": {"tone": ["kind", "curt"], "prompt": ["p3", "p4"]},
        "user": "Be {{ tone }}. {{ user }}",
    }
    path.write_text(yaml.safe_dump(made))
    assert "4 conditions" in bench.ok("plan", "configs/mine.yaml").out
    shown = bench.ok("show", "configs/mine.yaml", "--condition", "prompt=p4,tone=curt")
    assert "Be curt. Q4" in shown.out
    config = load_config("configs/mine.yaml").config
    assert len(build_book(narrow(config, {"prompt": "p3"}, [], 1)).plan.cells) == 2
    refused = bench.run("plan", "configs/mine.yaml", "scenarios.mine.axes.prompt=[p99]")
    assert refused.code == 2
    assert "there is no prompt 'p99'" in refused.err


def test_import_of_folder_with_several_formats_lists_the_files_that_it_did_not_read(
    bench: Bench,
) -> None:
    (bench.folder / "set").mkdir()
    (bench.folder / "set/a.txt").write_text("Hi")
    (bench.folder / "set/b.jsonl").write_text('{"prompt": "Ho"}')
    (bench.folder / "set/.c.jsonl").write_text('{"prompt": "He"}')
    (bench.folder / "set/d.png").write_bytes(b"png")
    said = bench.ok("import", "set", "--to", "mine.yaml").out
    assert "1 prompt of set (texts)" in said
    _, _, unread = said.partition("not read, being of another format")
    assert "set/b.jsonl" in unread
    assert "c.jsonl" not in unread
    assert "d.png" not in unread
    other = bench.ok("import", "set", "--to", "other.yaml", "--format", "jsonl").out
    assert "set/a.txt" in other.partition("not read, being of another format")[2]
    alone = bench.ok("import", "set/b.jsonl", "--to", "alone.yaml").out
    assert "not read" not in alone
