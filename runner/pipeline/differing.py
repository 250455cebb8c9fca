"""`show CONFIG --diff A B`: what tells two conditions apart, in texts, environment and safeguards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import unified_diff

import orjson

from runner.config.schema import SweepConfig, called
from runner.pipeline.showing import cells_of
from runner.plan.cells import Cell
from runner.report.lookup import Selector
from runner.report.screen import Line, Style
from runner.scenarios.book import Book, render_preview
from runner.scenarios.build import build_book

_MOST_TRIED = 300
"""Conditions of the first kind for which the nearest of the second is looked for."""


def diff_config(config: SweepConfig, selector: Selector, conditions: tuple[str, str]) -> list[Line]:
    """Return a unified diff of two conditions as they are rendered for one seed.

    Args:
        config: checked.
        selector: scenario, model and seed of both.
        conditions: levels of each, `tone=blunt`; those left out may be any: of what fits, two conditions of
            one scenario are taken that differ in as few axes as can be.

    Raises:
        ConfigError: the scenarios cannot be rendered, or nothing fits.
    """
    models = called(config)
    book = build_book(config, revisions={m.name: "-" for m in models})
    texts: list[list[str]] = []
    names: list[str] = []
    fitting = [
        [book.plan.cell(n) for n in cells_of(book.plan, replace(selector, condition=levels))]
        for levels in conditions
    ]
    pair = _nearest(fitting[0], fitting[1])
    for cell in pair:
        seed = cell.seeds.at(0) if selector.seed is None else selector.seed
        names.append(f"{cell.scenario} · {cell.condition} · seed {seed}")
        texts.append(_whole(book, cell.number, seed))
    lines = list(unified_diff(texts[0], texts[1], names[0], names[1], lineterm="", n=1))
    if not lines:
        return [Line(f"{names[0]} and {names[1]} are the same requests", Style.FAINT)]
    said = [Line(line, Style.HEAD if line[:3] in {"+++", "---"} else Style.PLAIN) for line in lines]
    return [*said, Line(f"They differ in {_apart(*pair)}.", Style.FAINT)]


def _nearest(first: Sequence[Cell], second: Sequence[Cell]) -> tuple[Cell, Cell]:
    """Return the two cells that have most in common, the first such ones in plan order."""
    best, found = len(first[0].axes) + 3, (first[0], second[0])
    for a in first[:_MOST_TRIED]:
        for b in second:
            apart = 2 * (a.scenario != b.scenario) + sum(
                b.axes.get(k) != v for k, v in a.axes.items()
            )
            if 0 < apart < best:
                best, found = apart, (a, b)
                if best == 1:
                    return found
    return found


def _apart(a: Cell, b: Cell) -> str:
    names = [name for name in {**a.axes, **b.axes} if a.axes.get(name) != b.axes.get(name)]
    names = [*(["scenario"] if a.scenario != b.scenario else []), *names]
    return ", ".join(names) or "nothing"


def _whole(book: Book, cell: int, seed: int) -> list[str]:
    conversation = render_preview(book, cell, seed)
    parts = book.identity_parts(cell)
    lines = ["[system]", *(conversation.system or "").split("\n")]
    for message in conversation.messages:
        lines += [f"[{message['role']}]", *str(message["content"]).split("\n")]
    for name in ("environment", "safeguards", "tools"):
        text = orjson.dumps(parts[name], option=orjson.OPT_INDENT_2).decode()
        lines += [f"[{name}]", *text.replace("\\n", "\n").split("\n")]
    return lines
