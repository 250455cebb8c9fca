from pathlib import Path

import pytest

import runner
from tests.support.ray_head import RayHead
from tests.support.records import answered
from tests.support.sweeps import SweepMaker

pytestmark = pytest.mark.ray


def test_read_when_asked_for_a_ray_dataset_then_it_has_the_published_rows(
    tmp_path: Path, joined: RayHead
):
    sweep = SweepMaker(tmp_path / "s")
    sweep.publish(answered(1, 0), answered(1, 1))
    sweep.publish(answered(1, 2))
    rows = runner.read(sweep.root).ray().select_columns(["seed"]).take_all()
    empty = runner.read(sweep.root, "failures").ray()

    assert sorted(row["seed"] for row in rows) == [0, 1, 2]
    assert empty.count() == 0
    assert "attempt_errors" in empty.schema().names
