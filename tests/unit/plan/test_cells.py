import pytest
from pyroaring import BitMap

from runner.plan.cells import Plan
from runner.plan.estimate import PromptSize, estimate
from tests.support.cells import cell, plan


def test_plan_finds_cells_by_number_and_model():
    planned = plan([cell(4, 3, model="a"), cell(9, 5, model="b"), cell(2, 2, model="b")])
    assert planned.jobs == 10
    assert planned.models == ("a", "b")
    assert [c.number for c in planned.of_model("b")] == [9, 2]
    assert planned.of_model("none") == ()
    assert planned.cell(9).model == "b"
    assert 9 in planned
    assert 3 not in planned
    assert planned.next_number == 10


def test_plan_when_a_number_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        plan([cell(1), cell(1)])
    with pytest.raises(ValueError, match="seed_block"):
        Plan([cell(1)], seed_block=0)


def test_estimate_counts_what_is_owed():
    planned = plan([cell(0, 10, model="a"), cell(1, 10, model="a"), cell(2, 5, model="b")])
    rows = estimate(
        planned,
        size=lambda n: PromptSize(calls=2, characters=400),
        max_tokens={"a": 100, "b": 9000},
        ended={0: BitMap([0, 1, 2, 77])},
    )
    assert [(r.model, r.cells, r.jobs, r.owed, r.calls) for r in rows] == [
        ("a", 2, 20, 17, 34),
        ("b", 1, 5, 5, 10),
    ]
    assert rows[0].input_tokens == 17 * (100 + 100)
    assert (rows[0].output_tokens, rows[0].output_tokens_ceiling) == (3400, 3400)
    assert (rows[1].output_tokens, rows[1].output_tokens_ceiling) == (5000, 90000)
