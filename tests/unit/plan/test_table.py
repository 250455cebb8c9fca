import pytest

from runner.core.errors import RecordError
from runner.core.seeds import SeedSet
from runner.plan.cells import Plan
from runner.plan.table import COLUMNS, from_rows, plan_rows
from tests.support.cells import cell


def stored():
    cells = [cell(3, SeedSet.parse("0-4,9")), cell(1, 7, model="b", axes={"x": "ü,="})]
    plan = Plan(cells, seed_block=25, version=2, next_number=11)
    return plan, plan_rows(plan, lambda n: (f'{{"tools":"{n}"}}', '{"roles.a":"1"}'))


def test_table_when_read_back_is_the_plan():
    plan, columns = stored()
    read = from_rows(columns)
    assert read.plan.cells == plan.cells
    assert (read.plan.version, read.plan.seed_block, read.plan.next_number) == (2, 25, 11)
    assert read.parts(3) == {"tools": "3", "roles.a": "1"}
    assert read.numbers == {c.digest: c.number for c in plan.cells}


def test_table_columns_are_typed_and_of_one_length():
    _, columns = stored()
    assert list(columns) == list(COLUMNS)
    for name, kind in COLUMNS.items():
        assert [type(value) for value in columns[name]] == [kind, kind]


@pytest.mark.parametrize("column", ["digest", "seeds", "role_parts"])
def test_from_rows_when_a_column_is_missing_says_which(column):
    _, columns = stored()
    del columns[column]
    with pytest.raises(RecordError, match=column):
        from_rows(columns)


@pytest.mark.parametrize(
    ("column", "value"), [("number", "3"), ("seeds", "x-y"), ("axes", "{"), ("number", 1)]
)
def test_from_rows_when_a_value_is_wrong_is_refused(column, value):
    _, columns = stored()
    columns[column][0] = value
    with pytest.raises(RecordError, match="plan"):
        from_rows(columns)


def test_from_rows_when_empty_is_refused():
    with pytest.raises(RecordError, match="no cell"):
        from_rows({name: [] for name in COLUMNS})
