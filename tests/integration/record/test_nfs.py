"""A whole sweep of two sessions on a folder that behaves as an NFS mount may."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import Bench
from tests.support.nfs_shim import NfsMount
from tests.support.standin import StandIn


def test_sweep_on_nfs_with_lost_replies_ends_with_every_job_once_and_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mount = NfsMount(tmp_path / "outputs", lose_every=4)
    with StandIn(answer_bytes=200) as server, mount.mounted():
        bench = Bench(tmp_path, server.url, capsys.readouterr)
        config = str(bench.write(seeds=200))
        bench.ok("sweep", config, "seeds=60")
        bench.ok("sweep", config)  # another session: claims, plans and goes on
        assert server.stats()["total"] == 400
        assert len(bench.rows()) == len({row["transcript_id"] for row in bench.rows()}) == 400
        bench.ok("verify", str(bench.sweep))
        status = json.loads(bench.ok("status", str(bench.sweep), "--json").out)
        assert status["state"] == "finished"
        assert not list((bench.sweep / "parts").iterdir())
    assert mount.resent > 10
