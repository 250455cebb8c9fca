"""Drafts to items: what is sent last, names, and which of them are the same. Pure.

A conversation that ends with the assistant holds the set's own answer: it becomes `target` and is not
sent, unless the user asks for it as a prefill. Two drafts are the same where system prompt, messages and
tools are: such conditions would be the same requests under two names.

Prompts go where the caller keeps them (`Items`); of each, a name and a digest stay in memory here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from runner.core.identity import canonical_json
from runner.importer.dialects import text_of
from runner.importer.draft import Draft, Fault, Unusable

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._+@-]+")
_LONGEST_ID = 60
MARKS = ("\ufdd0", "\ufdd1")
"""Characters with which the renderer marks what the seed decides; Unicode gives them no meaning."""


_ABSENT: Mapping[str, Any] = {"target": "", "choices": [], "metadata": {}}


class Items(Protocol):
    """Prompts in order."""

    size: int
    """Bytes of all of them."""

    def append(self, item: Mapping[str, Any], /) -> None:
        """Put one in."""
        ...

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield all of them."""
        ...


@dataclass(slots=True)
class Collected:
    """What a set comes to."""

    items: Items
    """As they were read: `prompts` has them whole."""
    has: set[str] = field(default_factory=set[str])
    """What some prompt has: system, target, choices, metadata."""
    prints_targets: bool = True
    """All targets are texts or numbers."""
    faults: list[Fault] = field(default_factory=list[Fault])
    """Prompts that cannot be imported."""
    twins: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(where, where its first is): identical, imported once."""
    notes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What was changed on the way, to where."""

    def prompts(self) -> Iterator[dict[str, Any]]:
        """Yield the prompts as `prompts:` of a scenario takes them.

        Each has every fact that some have: templates know no missing variables.
        """
        absent = {name: value for name, value in _ABSENT.items() if name in self.has}
        for item in self.items:
            yield item | {k: v for k, v in absent.items() if item.get(k) is None}


def collect(drafts: Iterable[Draft | Fault], items: Items, *, prefill: bool) -> Collected:
    """Put the prompts of a set into `items`, and return what is to be said of them.

    Args:
        drafts: of a reader.
        items: empty.
        prefill: an assistant's last message is sent, for the model to go on with.
    """
    done = Collected(items)
    first: dict[bytes, str] = {}
    names: set[str] = set()
    for draft in drafts:
        if isinstance(draft, Fault):
            done.faults.append(draft)
            continue
        try:
            item = _item(draft, done, prefill=prefill)
        except Unusable as why:
            done.faults.append(Fault(where=draft.where, what=str(why)))
            continue
        if any(mark.encode() in orjson.dumps(item) for mark in MARKS):
            done.faults.append(
                Fault(where=draft.where, what="holds U+FDD0 or U+FDD1, which mean nothing in text")
            )
            continue
        said = canonical_json([item.get(k) for k in ("system", "user", "history", "tools")])
        twin = first.setdefault(blake2b(said, digest_size=16).digest(), draft.where)
        if twin is not draft.where:
            done.twins.append((draft.where, twin))
            continue
        item = {"id": _id(draft.name, len(items) + 1, names), **item}
        if draft.name and item["id"] != draft.name:
            item["source_id"] = draft.name
        done.has.update(name for name in _ABSENT if name in item)
        if item["system"]:
            done.has.add("system")
        done.prints_targets &= isinstance(item.get("target"), str | int | float | None)
        items.append(item)
    return done


def _item(draft: Draft, done: Collected, *, prefill: bool) -> dict[str, Any]:
    said, facts = draft.said, dict(draft.facts)
    messages = list(said.messages)
    notes = [*said.notes]
    if messages and messages[-1]["role"] == "assistant" and not prefill:
        answer = text_of(messages.pop())
        notes.append(
            "it ends with an answer, which is kept as `target` and not sent (--prefill sends it)"
        )
        facts.setdefault("target", answer)
    if not messages:
        msg = "the model is asked nothing"
        raise Unusable(msg)
    last = messages[-1]
    user = text_of(last) if last["role"] == "user" else ""
    if last["role"] == "assistant" and text_of(last) is None:
        msg = "it ends with a tool call that nothing answers"
        raise Unusable(msg)
    if user:
        messages.pop()
    item: dict[str, Any] = {"system": said.system, "user": user or ""}
    if messages:
        item["history"] = messages
    if said.tools:
        item["tools"] = [dict(tool) for tool in said.tools]
    for note in notes:
        done.notes.setdefault(note, []).append(draft.where)
    return item | facts


def _id(name: str, number: int, names: set[str]) -> str:
    plain = (
        _NOT_IN_IDS.sub("-", name).strip("-._+@")[:_LONGEST_ID].rstrip("-._") or f"prompt-{number}"
    )
    found, again = plain, 1
    while found in names:
        again += 1
        found = f"{plain}-{again}"
    names.add(found)
    return found
