"""`show CONFIG --diff A B`: what tells two conditions apart, in texts, environment and safeguards."""

from __future__ import annotations

from dataclasses import replace
from difflib import unified_diff

import orjson

from runner.config.schema import SweepConfig, called
from runner.pipeline.showing import cells_of
from runner.report.lookup import Selector
from runner.report.screen import Line, Style
from runner.scenarios.book import Book, render_preview
from runner.scenarios.build import build_book


def diff_config(config: SweepConfig, selector: Selector, conditions: tuple[str, str]) -> list[Line]:
    """Return a unified diff of two conditions as they are rendered for one seed.

    Args:
        config: checked.
        selector: scenario, model and seed of both.
        conditions: levels of each, `tone=blunt`; those left out may be any (the first that fits).

    Raises:
        ConfigError: the scenarios cannot be rendered, or nothing fits.
    """
    models = called(config)
    book = build_book(config, revisions={m.name: "-" for m in models})
    texts: list[list[str]] = []
    names: list[str] = []
    for levels in conditions:
        cell = book.plan.cell(cells_of(book.plan, replace(selector, condition=levels))[0])
        seed = cell.seeds.at(0) if selector.seed is None else selector.seed
        names.append(f"{cell.scenario} · {cell.condition} · seed {seed}")
        texts.append(_whole(book, cell.number, seed))
    lines = list(unified_diff(texts[0], texts[1], names[0], names[1], lineterm="", n=1))
    if not lines:
        return [Line(f"{names[0]} and {names[1]} are the same requests", Style.FAINT)]
    return [Line(line, Style.HEAD if line[:3] in {"+++", "---"} else Style.PLAIN) for line in lines]


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
