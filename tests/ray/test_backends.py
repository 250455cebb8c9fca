"""The same sweeps on both backends: what the engine promises does not depend on where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from runner.core.errors import ConfigError, SweepHeldError
from runner.pipeline.prepare import Choices
from runner.record.verify import verify
from tests.support.cli_sweep import KEY, configuration
from tests.support.sessions import Sessions
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = pytest.mark.ray


@pytest.fixture(params=["inprocess", "ray"])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Sessions:
    if request.param == "ray":
        request.getfixturevalue("joined")
    return Sessions(tmp_path, request.param)


def _rows(sessions: Sessions, folder: str = "transcripts", column: str = "transcript_id") -> int:
    glob = str(sessions.directory / folder / "*.parquet")
    query = f"select count(*), count(distinct {column}) from read_parquet('{glob}')"
    rows, jobs = duckdb.sql(query).fetchall()[0]
    assert rows == jobs
    return rows


def test_sweep_of_two_models_with_failures_on_the_way_records_every_job_once(
    sessions: Sessions, server: StandIn
) -> None:
    faults = [{"kind": "overloaded", "every": 40, "times": 5}, {"kind": "reset", "at": [77]}]
    server.configure(latency_s=0.02, answer_bytes=500, faults=faults)
    config = configuration(server.url, jobs=300, retry={"wait_initial_s": 0.05})
    second = {**config["models"][0], "name": "m2", "provider": "anthropic", "base_url": server.url}
    config["models"].append(second | {"max_tokens": 400})
    with GlobWatcher(sessions.directory) as watcher:
        end = sessions.run(config)
    assert end.ended.reason == "done"
    assert end.exit_code == 0
    assert _rows(sessions) == watcher.rows == 600
    assert not watcher.problems
    assert server.stats()["answered"] == 600
    assert _rows(sessions, "attempts", "attempt_id") == server.stats()["total"] == 606
    assert verify(sessions.directory).ok
    last = sessions.screen.seen[-1]
    assert (last.recorded, last.planned, last.owed) == (600, 600, 0)


def test_stopped_sweep_goes_on_with_more_seeds_and_calls_nothing_twice(
    sessions: Sessions, server: StandIn
) -> None:
    config = configuration(server.url, jobs=400)
    end = sessions.run(config, stop_when=lambda: server.stats()["total"] >= 60)
    assert (end.ended.reason, end.exit_code) == ("interrupted", 130)
    recorded = _rows(sessions)
    assert 60 <= recorded < 400
    assert recorded == server.stats()["total"]
    prepared = sessions.prepare(config | {"seeds": 250})
    assert prepared.released
    assert (prepared.counts.recorded, prepared.counts.new) == (recorded, 100)
    end = sessions.run(config | {"seeds": 250})
    assert end.exit_code == 0
    assert _rows(sessions) == server.stats()["total"] == 500


def test_rollouts_of_three_turns_stopped_in_between_ask_each_turn_once(
    sessions: Sessions, server: StandIn
) -> None:
    turns = ["And now? ({{ seed }})", "Why?"]
    config = configuration(server.url, jobs=120, turns=turns)
    sessions.run(config, stop_when=lambda: server.stats()["total"] >= 100)
    end = sessions.run(config)
    assert end.exit_code == 0
    assert _rows(sessions) == 120
    asked = server.stats()["conversations"]
    assert len(asked) == 120
    assert all(counts == {"0": 1, "1": 1, "2": 1} for counts in asked.values())


def test_dead_letters_are_owed_again_when_asked_for(sessions: Sessions, server: StandIn) -> None:
    config = configuration(server.url, jobs=100)
    server.configure(faults=[{"kind": "bad_request", "contains": "job=blunt-7"}])
    end = sessions.run(config)
    assert (end.ended.reason, end.exit_code) == ("done", 7)
    assert _rows(sessions) == 99
    assert _rows(sessions, "failures", "job_key") == 1
    server.configure()
    assert sessions.prepare(config).counts.owed == 0
    end = sessions.run(config, choices=Choices(retry_failed=True))
    assert end.exit_code == 0
    assert _rows(sessions) == 100


def test_wrong_key_stops_within_the_first_calls_and_says_so(
    sessions: Sessions, server: StandIn
) -> None:
    server.configure(keys=["another"])
    end = sessions.run(configuration(server.url, jobs=400))
    assert end.ended.reason == "stopped"
    assert server.stats()["total"] <= 40
    assert any("models.m1" in line for line in sessions.screen.lines)


def test_session_on_a_directory_that_another_one_holds_is_refused(
    sessions: Sessions, server: StandIn, tmp_path: Path
) -> None:
    config = configuration(server.url, jobs=300)
    refused: list[str] = []

    def try_second() -> bool:
        if server.stats()["total"] < 20:
            return False
        other = Sessions(tmp_path, "inprocess")
        with pytest.raises(SweepHeldError, match=r"is being written by pid \d+ on ") as held:
            other.prepare(config)
        refused.append(str(held.value))
        return True

    sessions.run(config, stop_when=try_second)
    assert refused


def test_missing_key_variable_is_named_and_nothing_is_sent(
    sessions: Sessions, server: StandIn
) -> None:
    config = configuration(server.url, jobs=20)
    config["models"][0]["api_key_env"] = "RUNNER_NO_SUCH_KEY"
    with pytest.raises(ConfigError, match="RUNNER_NO_SUCH_KEY"):
        sessions.run(config)
    assert server.stats()["total"] == 0


def test_key_is_nowhere_in_the_sweep_nor_in_what_ray_keeps(
    sessions: Sessions, server: StandIn, request: pytest.FixtureRequest
) -> None:
    server.configure(faults=[{"kind": "echo_key", "first": 1, "contains": "polite"}], keys=[KEY])
    end = sessions.run(configuration(server.url, jobs=40))
    assert end.ended.reason == "done"
    assert not _files_with(sessions.directory, KEY)
    if "ray" in request.node.name:
        assert not _files_with(request.getfixturevalue("ray_head").folder, KEY)


def _files_with(folder: Path, text: str) -> list[Any]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if text.encode() in path.read_bytes()]
