"""What `runner grade` prints: one line per grader in which every row is accounted for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from runner.observe.amounts import count
from runner.report.grid import Grid
from runner.report.screen import Line, Style
from runner.report.spent import Spent
from runner.report.tables import spent_grid
from runner.report.verdict_counts import STATES, VerdictCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One grader's verdicts, old and new."""

    grader: str
    kind: str
    role: str
    view: str
    folder: str
    """Below the sweep directory."""
    digest: str
    new_rows: int
    counts: VerdictCounts
    spent: tuple[Spent, ...] = ()
    """What a judge's calls cost so far, those of failed ones too."""


def verdict_json(counted: Sequence[Counted]) -> dict[str, object]:
    """Return the same as `verdict_grids`, for programs."""
    return {"graders": [asdict(one) for one in counted]}


def verdict_grids(counted: Sequence[Counted], directory: str) -> list[Line | Grid]:
    """Return the tables: rows by state, outcomes, and why there is no verdict."""
    if not counted:
        text = f"{directory}: no scenario lists a grader. Name one: --grader NAME (docs/graders.md)"
        return [Line(text, Style.WARNING)]
    shown = [s for s in STATES if s == "graded" or any(c.counts.states[s] for c in counted)]
    rows = tuple(
        (
            c.grader, c.kind, c.view, count(c.counts.rows),
            *(count(c.counts.states[s]) for s in shown),
            count(c.counts.harmful) if c.role == "outcome" else "–", count(c.new_rows),
        )
        for c in counted
    )  # fmt: skip
    columns = ("grader", "kind", "judges", "rows", *(s.replace("_", " ") for s in shown), "harmful")
    out: list[Line | Grid] = [
        Grid(
            title="Verdicts", columns=(*columns, "new"), rows=rows, left=3, notes=_folders(counted)
        )
    ]
    for c in counted:
        said = " · ".join(f"{name} {count(n)}" for name, n in _by_count(c.counts.outcomes))
        if said:
            out.append(Line(f"{c.grader}: {said}"))
        out += [
            Line(f"{c.grader}: {count(n)} {reason}", Style.FAINT)
            for reason, n in c.counts.reasons.items()
        ]
        grid = spent_grid(c.spent)
        if grid is not None:
            out.append(replace(grid, title=f"Calls of {c.grader} so far"))
    return out


def _by_count(outcomes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(outcomes.items(), key=lambda kv: (-kv[1], kv[0]))


def _folders(counted: Sequence[Counted]) -> tuple[str, ...]:
    return tuple(c.folder for c in counted)
