"""What an episode finds when it opens, for `runner show CONFIG`: mail in full, the rest as listed, who plays whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runner.report.screen import Line, rule
from runner.scenarios.staging import Staging

_INNER = frozenset({"known", "next", "calls", "sent", "drafts", "minutes"})
"""Counters and empty folders that say nothing about a scenario."""


def stage_lines(state: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what each part of an environment holds, as the model could find it.

    Args:
        state: the first state, by part.
    """
    for part, holds in state.items():
        found = dict(cast("Mapping[str, Any]", holds))
        for where in ("inbox", "later"):
            for mail in cast("list[Mapping[str, Any]]", found.pop(where, None) or []):
                when = mail["date"] or f"after {mail['after_calls']} calls"
                yield rule(f"{part} · {where} {mail['id']} · {when}")
                sender = f"{mail['from_name']} <{mail['from']}>".strip()
                to = ", ".join(mail["to"])
                yield Line(f"{sender} → {to}\nSubject: {mail['subject']}\n\n{mail['body']}")
        listed = "\n".join(_listed({k: v for k, v in found.items() if k not in _INNER}, ""))
        if listed:
            yield rule(part)
            yield Line(listed)


def cast_lines(staging: Staging, seed: int) -> Iterator[Line]:
    """Yield who is played by a model, with what it is told, and which safeguards look on."""
    for role in staging.roles:
        plays = role.plays.fill(seed)
        yield rule(
            f"role {role.name} · {plays} · played by {role.actor}, {role.answers} answers at most"
        )
        yield Line(role.system.fill(seed))
    for guard in staging.guards:
        by = "phrases" if guard.actor is None else f"{guard.actor} as judge"
        yield rule(f"safeguard {guard.name} · {' and '.join(guard.sides)} · {by}")
        for topic, phrases in guard.topics.items():
            told = ", ".join(phrases) or guard.about[topic]
            yield Line(f"{topic}: {told}")


def _listed(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            if isinstance(item, Mapping | list):
                if item:
                    yield f"{indent}{key}:"
                    yield from _listed(item, indent + "  ")
            else:
                text = str(item).replace("\n", f"\n{indent}  ")
                yield f"{indent}{key}: {text}" if text else f"{indent}{key}"
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            if isinstance(item, Mapping):
                fields = cast("Mapping[str, Any]", item).items()
                said = ((k, str(v).replace("\n", f"\n{indent}  ")) for k, v in fields if v)
                yield f"{indent}- " + " · ".join(f"{k}: {v}" for k, v in said if k != "key")
            else:
                yield f"{indent}- {item}"
