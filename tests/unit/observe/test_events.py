import json

from runner.observe.events import Discard, JsonLines, Problem, ShardsPublished


def test_json_lines_append_one_object_an_event(tmp_path):
    path = tmp_path / "events" / "driver.jsonl"
    for entry in (4, 5):
        sink = JsonLines(path, wall=lambda: 1_780_000_000.1234)
        sink.emit(ShardsPublished(entry=entry, seals=1, rows=10, failures=0))
        sink.close()
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [t["entry"] for t in told] == [4, 5]
    assert told[0] == {
        "event": "ShardsPublished", "at": 1_780_000_000.123,
        "entry": 4, "seals": 1, "rows": 10, "failures": 0,
    }  # fmt: skip


def test_json_lines_keep_hostile_text_on_its_line(tmp_path):
    path = tmp_path / "driver.jsonl"
    sink = JsonLines(path, wall=lambda: 0.0)
    sink.emit(Problem(where="parts/x\n{", what="torn\u2028\r\x1b[2J"))
    sink.close()
    (line,) = path.read_bytes().splitlines()
    assert line.isascii()
    assert json.loads(line)["what"] == "torn\u2028\r\x1b[2J"


def test_json_lines_in_a_place_that_refuses_cost_nothing_but_the_events(tmp_path):
    (tmp_path / "file").write_text("")
    sink = JsonLines(tmp_path / "file" / "events.jsonl", wall=lambda: 0.0)
    sink.emit(Problem(where="a", what="b"))
    sink.close()
    assert (tmp_path / "file").read_text() == ""


def test_json_lines_after_a_full_disk_go_silent():
    from pathlib import Path

    sink = JsonLines(Path("/dev/full"), wall=lambda: 0.0)
    sink.emit(Problem(where="a", what="b" * 10_000))
    sink.emit(Problem(where="a", what="b"))
    Discard().emit(Problem(where="a", what="b"))
    sink.close()
