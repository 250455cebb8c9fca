"""What the answers' texture says against n, arms and models, one sentence per arm and model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.observe.amounts import count, many
from runner.observe.terminal import one_line
from runner.report.rows import ReportRow
from runner.report.texture import Texture
from runner.scenarios.axes import label

_Found = list[tuple[ReportRow, Texture]]


def texture_flags(rows: Sequence[ReportRow], textures: Mapping[int, Texture]) -> list[str]:
    """Return the warnings; cells of one model with the same fault are one sentence.

    Args:
        rows: one per cell.
        textures: by cell number.
    """
    by_number = {row.cell: row for row in rows if row.cell is not None}
    known = [(row, textures[n]) for n, row in by_number.items() if n in textures]
    repeated: dict[str, _Found] = {}
    copied: dict[tuple[str, frozenset[str]], _Found] = {}
    answered_by: dict[tuple[str, tuple[str, ...]], _Found] = {}
    for row, texture in known:
        if not texture.independent:
            repeated.setdefault(row.model, []).append((row, texture))
        other = by_number.get(texture.shared_with) if texture.shared_with is not None else None
        if texture.copied and other is not None:
            # Both arms are flagged, each as a copy of the other: that is one fault.
            arms = frozenset((_unlike(row, other), _unlike(other, row)))
            copied.setdefault((row.model, arms), []).append((row, texture))
        if len(texture.model_ids) > 1:
            answered_by.setdefault((row.model, texture.model_ids), []).append((row, texture))
    return [
        *(_repeated(found) for found in repeated.values()),
        *(_copied(sorted(arms), found) for (_, arms), found in copied.items()),
        *(_answered_by(ids, found) for (_, ids), found in answered_by.items()),
    ]


def _repeated(found: _Found) -> str:
    row, worst = min(found, key=lambda f: f[1].distinct / f[1].answers)
    rest = f", in {many(len(found) - 1, 'more cell')} less than half" if len(found) > 1 else ""
    return (
        f"{_name(row)}: {count(worst.distinct)} distinct answers in {count(worst.answers)}{rest}: "
        "n is not independent, so no interval is given."
    )


def _copied(arms: Sequence[str], found: _Found) -> str:
    row, _ = found[0]
    where = _name(row) if len(found) == 1 else f"{one_line(row.model, 40)}, {len(found)} cells"
    shared, answers = sum(t.shared for _, t in found), sum(t.answers for _, t in found)
    return (
        f"{where}: {count(shared)} of {count(answers)} answers of {' and '.join(arms)} are byte for "
        "byte the same at the same seeds: did the change reach the model?"
    )


def _answered_by(ids: Sequence[str], found: _Found) -> str:
    row, _ = found[0]
    more = f" and {many(len(found) - 1, 'cell')} more" if len(found) > 1 else ""
    said = one_line(", ".join(ids), 160)
    return f"{_name(row)}{more}: {len(ids)} model ids answered: {said}."


def _name(row: ReportRow) -> str:
    return f"{one_line(f'{row.scenario}[{row.label}]', 120)} × {one_line(row.model, 40)}"


def _unlike(row: ReportRow, other: ReportRow) -> str:
    """Return the levels of a row in the axes in which the other differs."""
    own, theirs = row.axes or {}, other.axes or {}
    levels = [f"{axis}={label(v)}" for axis, v in own.items() if theirs.get(axis) != v]
    return one_line(", ".join(levels) or row.label, 80)
