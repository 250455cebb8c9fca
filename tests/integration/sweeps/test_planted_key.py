"""Invariant 7: a planted key is found nowhere: not in files, columns, frames, screens or logs."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runner.config.schema import ModelConfig, ProviderKind
from tests.support.commands import Bench
from tests.support.standin import StandIn

KEY = "sk-planted-7f31c2d94be85a60"
FAULTS = ("echo_key", "server_error", "not_json", "huge_error", "control", "rate_limited")


def _holds_key(path: Path) -> bool:
    data = path.read_bytes()
    if KEY.encode() in data:
        return True
    return path.suffix == ".parquet" and KEY in str(pq.read_table(path).to_pylist())


def _found(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and _holds_key(p)]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_key_is_written_nowhere(
    bench: Bench,
    api: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    provider: str,
) -> None:
    """Over answers that echo it, every class of failure, a wrong key, and the debug switch."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PLANTED", KEY)
    bench.write(
        scenarios=[
            {
                "name": "k",
                "axes": {"kind": ["plain", *FAULTS]},
                "user": "do={{ kind }}. ({{ seed }})",
            }
        ],
        models=[bench.model(provider=provider, api_key_env="PLANTED")],
        retry={"wait_initial_s": 0.02, "wait_max_s": 0.05, "job_failures": 2},
    )
    once = {"rate_limited"}
    api.configure(
        answer_bytes=100,
        faults=[{"kind": k, "contains": f"do={k}.", "times": k in once} for k in FAULTS],
    )
    screens = [bench.run("sweep", "c.yaml", "--debug").text]
    assert bench.states()["answered"] >= 4
    echoed = [r for r in bench.rows() if r["condition"] == "kind=echo_key"]
    assert echoed
    assert all("[removed]" in r["messages"] for r in echoed)
    api.configure(keys=["another"])
    screens.append(bench.run("sweep", "c.yaml", "seeds=4", "--debug").text)
    for command in ("report", "status", "verify", "show"):
        screens.append(bench.run(command, "outputs/s").text)
    screens += [bench.run(command, "c.yaml").text for command in ("plan", "lint", "doctor")]
    assert not [s for s in screens if KEY in s]
    assert KEY not in caplog.text
    assert not _found(bench.folder)


def test_key_written_into_a_configuration_is_refused_without_repeating_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", KEY)
    for model in (
        bench.model(api_key=KEY),
        bench.model(headers={"x-note": KEY}, api_key_env="PLANTED"),
    ):
        bench.write(models=[model])
        ended = bench.run("sweep", "c.yaml")
        assert ended.code == 2
        assert KEY not in ended.text
        assert "api_key_env" in ended.err or "models.m" in ended.err
    assert not bench.sweep.exists()


def test_key_variable_that_is_not_set_is_named(bench: Bench) -> None:
    bench.write(models=[bench.model(api_key_env="NOT_SET_ANYWHERE")])
    ended = bench.run("sweep", "c.yaml")
    assert ended.code == 2
    assert "NOT_SET_ANYWHERE" in ended.err
    assert not bench.sweep.exists()


def test_model_configuration_has_no_place_for_a_key() -> None:
    fields = vars(ModelConfig(name="m", provider=ProviderKind.openai, api_key_env="PLANTED"))
    assert not [f for f in fields if "key" in f and f != "api_key_env"]
