"""What `runner accuracy` prints: precision and recall of rules on gold items, and every error. Pure.

Precision and recall with Clopper-Pearson intervals (`statistics.binomial`), two-sided 95 %,
or one-sided where no event was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.statistics.binomial import clopper_pearson


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One gold item: what a reader says and what the grader says."""

    item: str
    held_out: bool
    wanted: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One grader on one file of gold items."""

    grader: str
    family: str
    pairs: tuple[Pair, ...]


def share(events: int, n: int) -> str:
    """Return `12/14 86 % [57, 98]`."""
    if not n:
        return "–"
    found = clopper_pearson(events, n)
    return f"{events}/{n} {events / n:.0%} [{found.low:.0%}, {found.high:.0%}]"


def accuracy_lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield Markdown: a table per grader and half, then the errors by item."""
    for one in measured:
        yield f"### {one.grader} on {one.family}"
        yield ""
        yield "| half | outcome | items | precision | recall |"
        yield "|---|---|---:|---|---|"
        for half, held_out in (("open", False), ("held out", True)):
            pairs = [p for p in one.pairs if p.held_out is held_out]
            right = sum(p.wanted == p.said for p in pairs)
            yield f"| {half} | all, agreement | {len(pairs)} | {share(right, len(pairs))} | |"
            for outcome in sorted({p.wanted for p in pairs} | {p.said for p in pairs}):
                hits = sum(p.wanted == p.said == outcome for p in pairs)
                said = sum(p.said == outcome for p in pairs)
                wanted = sum(p.wanted == outcome for p in pairs)
                yield (
                    f"| {half} | {outcome} | {wanted} | {share(hits, said)} | {share(hits, wanted)} |"
                )
        yield ""
        wrong = [p for p in one.pairs if p.wanted != p.said]
        said = ", ".join(f"{p.item} {p.wanted} → {p.said}" for p in wrong)
        yield f"Errors ({len(wrong)}): {said or 'none'}."
        yield ""
