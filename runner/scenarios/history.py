"""Messages before the model's first turn: who may say what, and how they meet the scripted `user`. Pure.

Messages have Messages API form. Texts in them are patterns where a scenario wrote them (templates),
and plain texts where they came with a prompt (`given.py`: literal).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from runner.scenarios.environments.protocol import SetupProblem
from runner.scenarios.staging import rendered_setup
from runner.scenarios.symbolic import Pattern

if TYPE_CHECKING:
    from runner.scenarios.axes import Level

Message = Mapping[str, Any]

_BLOCKS = {"user": ("text", "tool_result"), "assistant": ("text", "tool_use")}
"""Role to the kinds of blocks that every provider can carry from it."""


def rendered_history(
    written: Sequence[Message], levels: Sequence[Level], render: Callable[[str], Pattern]
) -> tuple[Message, ...]:
    """Return a condition's history: what the scenario wrote, then what its given prompt brings.

    Raises:
        SetupProblem: as `check_history`.
    """
    rendered: object = rendered_setup(list(written), "history", render)
    given = (level.given for level in levels if level.given is not None)
    return (*check_history(rendered, "history"), *(m for one in given for m in one.history))


def check_history(messages: object, key: str) -> tuple[Message, ...]:
    """Return messages that can begin a conversation.

    Args:
        messages: as written, rendered or not.
        key: how messages call them, `history`.

    Raises:
        SetupProblem: which message cannot be meant, and why.
    """
    if not isinstance(messages, list | tuple):
        raise SetupProblem(key=key, what="is no list of messages")
    asked: set[str] = set()
    for i, message in enumerate(cast("Sequence[object]", messages)):
        at = f"{key}[{i}]"
        if not isinstance(message, Mapping):
            raise SetupProblem(key=at, what="is no message: write role and content")
        found = cast("Message", message)
        role, content = str(_text(found.get("role"))), found.get("content")
        if role not in _BLOCKS:
            raise SetupProblem(key=f"{at}.role", what=f"{role!r} is neither user nor assistant")
        if i == 0 and role != "user":
            raise SetupProblem(key=f"{at}.role", what="a conversation begins with the user")
        unknown = sorted(set(found) - {"role", "content"})
        if unknown:
            raise SetupProblem(key=at, what=f"unknown key {unknown[0]}: only role and content")
        if isinstance(content, list | tuple):
            answered = _check_blocks(cast("Sequence[object]", content), role, f"{at}.content")
            if answered - asked:
                what = f"{min(answered - asked)} answers no call before it"
                raise SetupProblem(key=f"{at}.content", what=what)
            asked |= _ids(cast("Sequence[Any]", content), "tool_use", "id")
        elif content is None or isinstance(content, Mapping | int | float):
            raise SetupProblem(key=f"{at}.content", what="is neither a text nor a list of blocks")
    return tuple(cast("Sequence[Message]", messages))


def _check_blocks(blocks: Sequence[object], role: str, key: str) -> set[str]:
    """Return the ids of the calls that the blocks answer."""
    if not blocks:
        raise SetupProblem(key=key, what="is empty")
    for i, block in enumerate(blocks):
        kind = cast("Message", block).get("type") if isinstance(block, Mapping) else None
        if str(_text(kind)) not in _BLOCKS[role]:
            what = f"a block of type {_text(kind)!r} has no place here: {', '.join(_BLOCKS[role])}"
            raise SetupProblem(key=f"{key}[{i}]", what=what)
        needed = {"tool_use": ("id", "name", "input"), "tool_result": ("tool_use_id", "content")}
        for name in needed.get(str(_text(kind)), ("text",)):
            if cast("Message", block).get(name) is None:
                raise SetupProblem(key=f"{key}[{i}].{name}", what="is missing")
    return _ids(cast("Sequence[Any]", blocks), "tool_result", "tool_use_id")


def _ids(blocks: Sequence[Any], kind: str, name: str) -> set[str]:
    return {str(_text(b[name])) for b in blocks if str(_text(b["type"])) == kind}


def _text(value: object) -> object:
    """Return a text, whether it is a pattern or plain."""
    return getattr(value, "text", value)


def opening(history: Sequence[Message], user: str | None) -> tuple[Message, ...]:
    """Return the messages of the first request.

    Args:
        history: filled in for a seed.
        user: the scripted first user text; None where the history is all there is.

    Text after a user's message becomes part of it: results of tools and what is said about them
    belong into one message, and no API wants two of one role.
    """
    if user is None:
        return tuple(history)
    if not history or history[-1]["role"] != "user":
        return (*history, {"role": "user", "content": user})
    before: object = history[-1]["content"]
    blocks = [{"type": "text", "text": before}] if isinstance(before, str) else before
    last = {"role": "user", "content": [*cast("list[Any]", blocks), {"type": "text", "text": user}]}
    return (*history[:-1], last)
