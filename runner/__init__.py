"""Scenario × seed × model sweeps over model APIs, recorded as Parquet that graders read live.

`runner.read(directory)` opens the tables of a sweep, `runner.follow(directory)` yields its shards
as they are published; `@runner.grader` makes a grader of a function of a `runner.Record`. All are
imported on first use, so that `import runner` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.grade.functions import grader
    from runner.grade.verdict import Record, Verdict, VerdictState
    from runner.record.follow import follow
    from runner.record.reader import read

__all__ = ["Record", "Verdict", "VerdictState", "follow", "grader", "read"]


def __getattr__(name: str) -> object:
    if name == "read":
        from runner.record.reader import read  # noqa: PLC0415  # keeps pyarrow out of the import

        return read
    if name == "follow":
        from runner.record.follow import follow  # noqa: PLC0415  # as above

        return follow
    if name == "grader":
        from runner.grade.functions import grader  # noqa: PLC0415  # as above

        return grader
    if name in ("Record", "Verdict", "VerdictState"):
        from runner.grade import verdict  # noqa: PLC0415  # as above

        return getattr(verdict, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
