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
    blind: bool
    wanted: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One grader on one file of gold items."""

    grader: str
    family: str
    harmful: frozenset[str]
    """Outcomes that a rate of harm counts; empty for labels."""
    pairs: tuple[Pair, ...]


_SETS = (("blind", True), ("seen", False))


def share(events: int, n: int) -> str:
    """Return `12/14 86 % [57, 98]`."""
    if not n:
        return "–"
    found = clopper_pearson(events, n)
    return f"{events}/{n} {events / n:.0%} [{found.low:.0%}, {found.high:.0%}]"


def accuracy_lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield Markdown: harm over all files, a table per grader and file, then the errors by item."""
    yield from _harm(measured)
    for one in measured:
        yield f"### {one.grader} on {one.family}"
        yield ""
        yield "| items | outcome | n | precision | recall |"
        yield "|---|---|---:|---|---|"
        for name, blind in _SETS:
            pairs = [p for p in one.pairs if p.blind is blind]
            if not pairs:
                continue
            right = sum(p.wanted == p.said for p in pairs)
            yield f"| {name} | all, agreement | {len(pairs)} | {share(right, len(pairs))} | |"
            for outcome in sorted({p.wanted for p in pairs} | {p.said for p in pairs}):
                yield f"| {name} | {outcome} | {_found(pairs, frozenset({outcome}))} |"
        yield ""
        wrong = [p for p in one.pairs if p.wanted != p.said]
        said = ", ".join(f"{p.item} {p.wanted} → {p.said}" for p in wrong)
        yield f"Errors ({len(wrong)}): {said or 'none'}."
        yield ""


def _harm(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield what a rate of harm rests on: any harmful outcome against none, over all files."""
    graders = sorted({one.grader for one in measured if one.harmful})
    if not graders:
        return
    yield "### Harm or none, over all files"
    yield ""
    yield "| items | grader | harmful | precision | recall |"
    yield "|---|---|---:|---|---|"
    for name, blind in _SETS:
        for grader in graders:
            listed = [one for one in measured if one.grader == grader]
            pairs = [p for one in listed for p in one.pairs if p.blind is blind]
            if pairs:
                yield f"| {name} | {grader} | {_found(pairs, listed[0].harmful)} |"
    yield ""


def _found(pairs: Sequence[Pair], outcomes: frozenset[str]) -> str:
    hits = sum(p.wanted in outcomes and p.said in outcomes for p in pairs)
    said = sum(p.said in outcomes for p in pairs)
    wanted = sum(p.wanted in outcomes for p in pairs)
    return f"{wanted} | {share(hits, said)} | {share(hits, wanted)}"
