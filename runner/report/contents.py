"""What a report says, as values. Pure.

Rows are `rows.py`, what goes beyond them `analysis.py`; rendering is `tables.py` and `html_page.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.plan.blocks import CompleteBlocks
from runner.report.analysis import Analysis
from runner.report.rates import CellCounts
from runner.report.rows import ReportRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report on one sweep under one grader (or none)."""

    sweep: str
    directory: str
    grader: str | None
    grader_digest: str | None
    view: str | None
    """Which part of the answers was judged."""
    interim: bool
    """Jobs are owed: rows and totals count complete seed blocks only."""
    blocks: Mapping[str, CompleteBlocks]
    simulated: bool
    """At least one row was answered by a simulator."""
    whole: CellCounts
    """The whole sweep with all that is recorded, whatever the blocks."""
    totals: tuple[ReportRow, ...]
    """Per scenario and model."""
    rows: tuple[ReportRow, ...]
    """Per condition and model, in plan order."""
    level: float
    analysis: Analysis | None = None
    """None without a grader."""
    flags: tuple[str, ...] = ()
    """What the answers' texture says, where there is no analysis to say it."""
