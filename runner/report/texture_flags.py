"""What the answers' texture says against n, arms and models, one sentence per arm and model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.observe.amounts import count, many
from runner.observe.terminal import one_line
from runner.report.rows import ReportRow
from runner.report.texture import Texture
from runner.scenarios.axes import label

_MOST_GROUPS = 3
"""Groups of arms in the same axes that get a warning each."""
_Found = list[tuple[ReportRow, Texture]]
_Arms = tuple[tuple[str, tuple[str, ...]], ...]
"""Each axis in which cells differ that copy each other, with its levels."""


def texture_flags(rows: Sequence[ReportRow], textures: Mapping[int, Texture]) -> list[str]:
    """Return the warnings; cells of one model with the same fault are one sentence.

    Args:
        rows: one per cell.
        textures: by cell number.
    """
    by_number = {row.cell: row for row in rows if row.cell is not None}
    known = [(row, textures[n]) for n, row in by_number.items() if n in textures]
    repeated: dict[str, _Found] = {}
    copied: dict[tuple[str, _Arms], _Found] = {}
    answered_by: dict[tuple[str, tuple[str, ...]], _Found] = {}
    arms = _arms(by_number, textures)
    for row, texture in known:
        if not texture.independent:
            repeated.setdefault(row.model, []).append((row, texture))
        if row.cell in arms:
            copied.setdefault((row.model, arms[row.cell]), []).append((row, texture))
        if len(texture.model_ids) > 1:
            answered_by.setdefault((row.model, texture.model_ids), []).append((row, texture))
    return [
        *(_repeated(found) for found in repeated.values()),
        *_all_copied(copied),
        *(_answered_by(ids, found) for (_, ids), found in answered_by.items()),
    ]


def _arms(by_number: Mapping[int, ReportRow], textures: Mapping[int, Texture]) -> dict[int, _Arms]:
    """Return the arms that each cell with copied answers is of: axes and levels of all that copy each other."""
    group: dict[int, set[int]] = {}
    for number in by_number:
        texture = textures.get(number)
        other = texture.shared_with if texture is not None and texture.copied else None
        if other is not None and other in by_number:
            one, two = group.get(number, {number}), group.get(other, {other})
            one |= two
            for member in one:
                group[member] = one
    out: dict[int, _Arms] = {}
    for number, members in group.items():
        levels: dict[str, list[str]] = {}
        for member in sorted(members):
            for axis, level in (by_number[member].axes or {}).items():
                if (said := label(level)) not in levels.setdefault(axis, []):
                    levels[axis].append(said)
        out[number] = tuple((a, tuple(sorted(v))) for a, v in levels.items() if len(v) > 1)
    return out


def _repeated(found: _Found) -> str:
    row, worst = min(found, key=lambda f: f[1].distinct / f[1].answers)
    rest = f", in {many(len(found) - 1, 'more cell')} less than half" if len(found) > 1 else ""
    return (
        f"{_name(row)}: {many(worst.distinct, 'distinct answer')} in {count(worst.answers)}{rest}: "
        "n is not independent, so no interval is given."
    )


def _all_copied(copied: Mapping[tuple[str, _Arms], _Found]) -> list[str]:
    """Return a sentence for each group of arms; for many groups in the same axes one together."""
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[_Arms, _Found]]] = {}
    for (model, arms), found in copied.items():
        axes = tuple(axis for axis, _ in arms)
        groups.setdefault((model, axes), []).append((arms, found))
    out: list[str] = []
    for members in groups.values():
        if len(members) <= _MOST_GROUPS:
            out += [_copied(arms, found) for arms, found in members]
            continue
        every = [one for _, found in members for one in found]
        shared, answers = sum(t.shared for _, t in every), sum(t.answers for _, t in every)
        axes = ", ".join(axis for axis, _ in members[0][0])
        said = (
            f"{count(shared)} of {count(answers)} answers are byte for byte those of another arm, in "
            f"{count(len(members))} groups that differ in {axes}"
        )
        out.append(
            f"{one_line(every[0][0].model, 40)}, {count(len(every))} cells: {one_line(said, 200)}, at the "
            "same seeds: did the change reach the model?"
        )
    return out


def _copied(arms: _Arms, found: _Found) -> str:
    row, _ = found[0]
    where = (
        _name(row) if len(found) == 1 else f"{one_line(row.model, 40)}, {count(len(found))} cells"
    )
    shared, answers = sum(t.shared for _, t in found), sum(t.answers for _, t in found)
    of = f"answers are byte for byte the same whatever {', '.join(axis for axis, _ in arms)}"
    if len(arms) == 1:
        ((axis, levels),) = arms
        of = f"answers of {' and '.join(f'{axis}={v}' for v in levels)} are byte for byte the same"
    said = one_line(f"{count(shared)} of {count(answers)} {of}", 200)
    return f"{where}: {said} at the same seeds: did the change reach the model?"


def _answered_by(ids: Sequence[str], found: _Found) -> str:
    row, _ = found[0]
    more = f" and {many(len(found) - 1, 'cell')} more" if len(found) > 1 else ""
    said = one_line(", ".join(ids), 160)
    return f"{_name(row)}{more}: {len(ids)} model ids answered: {said}."


def _name(row: ReportRow) -> str:
    return f"{one_line(f'{row.scenario}[{row.label}]', 120)} × {one_line(row.model, 40)}"
