"""Lines for the driver's screen: each fetched once, the oldest given up when nobody fetches."""

from __future__ import annotations

import pytest

from runner.dispatch.ray_actors import MOST_LINES, Lines

pytestmark = pytest.mark.ray


def test_lines_fetched_in_steps_come_once_each() -> None:
    lines = Lines()
    lines.add("a")
    count, new = lines.after(0)
    assert (count, new) == (1, ("a",))
    lines.add("b")
    lines.add("c")
    assert lines.after(count) == (3, ("b", "c"))
    assert lines.after(3) == (3, ())


def test_lines_past_the_bound_keep_the_newest_and_the_count() -> None:
    lines = Lines()
    for i in range(MOST_LINES + 5):
        lines.add(str(i))
    count, new = lines.after(2)
    assert count == MOST_LINES + 5
    assert new == tuple(str(i) for i in range(5, MOST_LINES + 5))
    assert lines.after(MOST_LINES + 3)[1] == (str(MOST_LINES + 3), str(MOST_LINES + 4))
