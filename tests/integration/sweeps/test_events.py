"""The event log of a sweep: what its coordinators decided."""

from __future__ import annotations

import json

from tests.support.commands import Bench


def told(bench: Bench) -> list[list[dict[str, object]]]:
    logs = sorted((bench.sweep / "events").glob("coordinator-*.jsonl"))
    return [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]


def test_event_log_tells_each_session_from_start_to_end(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml", "seeds=2")
    bench.ok("sweep", "c.yaml", "seeds=3")
    first, second = told(bench)
    for log in (first, second):
        names = [event["event"] for event in log]
        assert names[0] == "SweepStarted"
        assert names[-1] == "SweepEnded"
        assert {"WorkerJoined", "ShardsPublished"} <= set(names)
        assert log[0]["owed"] == sum(e["rows"] for e in log if e["event"] == "ShardsPublished")
        assert (log[-1]["reason"], log[-1]["owed"]) == ("done", 0)
    assert second[0]["recorded"] == first[-1]["recorded"] == first[0]["planned"]


def test_event_log_of_a_stopped_model_says_which_and_why(bench: Bench) -> None:
    bench.write(models=[bench.model(base_url="http://127.0.0.1:1/v1")])
    bench.run("sweep", "c.yaml")
    (log,) = told(bench)
    (stopped,) = [event for event in log if event["event"] == "ModelStopped"]
    assert stopped["model"] == bench.model()["name"]
    assert "127.0.0.1:1" in str(stopped["reason"])
