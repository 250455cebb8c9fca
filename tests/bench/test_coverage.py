import pytest

from tests.bench import coverage

pytestmark = pytest.mark.bench


def test_coverage_over_the_listed_truths():
    """Prints the tables of docs/statistics.md; what they must hold is in tests/unit/statistics."""
    for line in coverage.lines(coverage.SWEEPS):
        print(line)
