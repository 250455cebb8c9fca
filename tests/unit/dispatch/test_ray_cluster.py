"""What belongs to a connection to Ray beside Ray itself."""

import pytest

from runner.dispatch import ray_cluster
from runner.dispatch.ray_cluster import RayCluster


def test_what_ray_prints_of_its_processes_is_no_part_of_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ray_cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_cluster, "_start", lambda _workers: None)
    cluster = RayCluster.connect(None, 2)
    from ray._private.worker import print_to_stdstream

    told = {"lines": ["A worker died"], "pid": "raylet", "is_err": False, "ip": "127.0.0.1"}
    print_to_stdstream(told, ignore_prefix=False)
    cluster.close()
    print("{}")
    out, err = capsys.readouterr()
    assert out == "{}\n"
    assert "A worker died" in err
