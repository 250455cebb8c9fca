"""The collector's pace is the worker's business only while it runs."""

import gc

import pytest

from runner.core.collector import YOUNG, rare_collections


def test_rare_collections_inside_then_as_before_even_after_an_error():
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="end"), rare_collections():
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > 0
        raise ValueError("end")
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
