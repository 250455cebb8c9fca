"""One record of a set (a JSON object, a table's row) to a draft, by the usual names of its fields. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, cast

from runner.importer.dialects import read_conversation, read_tools
from runner.importer.draft import Conversation, Draft, Fields, Unusable

_CONVERSATIONS = ("messages", "conversation", "conversations", "chat", "dialogue", "dialog")
_USERS = (
    *("user", "user_prompt", "prompt", "question", "input", "query", "instruction", "goal"),
    *("behavior", "problem", "text", "content"),
)
_SYSTEMS = ("system", "system_prompt", "system_message")
_IDS = ("id", "uid", "uuid", "name", "key", "qid", "question_id", "task_id", "sample_id", "index")
_TARGETS = ("target", "answer", "answers", "ideal", "reference", "expected", "label", "gold")
_ALPACA = ("instruction", "input")
_NEEDS = ("files", "setup", "sandbox")
"""What Inspect puts around a sample; nothing here provides it."""


def read_record(record: object, where: str, fields: Fields) -> Draft:
    """Return the draft of a record.

    Args:
        record: a JSON object, a bare list of messages, or a bare text.
        where: `file:line`.
        fields: those that the user named.

    Raises:
        Unusable: nothing in it says what the model is told.
    """
    if isinstance(record, list):
        return Draft(where=where, name="", said=read_conversation(cast("list[object]", record)))
    if isinstance(record, str):
        record = {"prompt": record}
    if not isinstance(record, Mapping):
        msg = "neither an object, a list of messages nor a text"
        raise Unusable(msg)
    row: Mapping[str, Any] = plain(cast("Mapping[str, Any]", record))
    names = {name.lower().strip(): name for name in row}
    system_field = _named(fields.system, row) or _first(names, _SYSTEMS)
    system = _as_text(row[system_field], system_field) if system_field else ""
    said, used = _said(row, names, fields, system)
    id_field = _named(fields.id, row) or _first(names, _IDS)
    target = _first({k: v for k, v in names.items() if v not in used}, _TARGETS)
    facts: dict[str, Any] = {}
    if target is not None:
        facts["target"] = row[target]
    if isinstance(row.get("choices"), list) and row["choices"]:
        facts["choices"] = row["choices"]
    rest = {*used, system_field, id_field, target, "choices", "tools", "metadata", *_NEEDS}
    given: object = row.get("metadata")
    metadata = dict(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else {}
    metadata |= {name: value for name, value in row.items() if name not in rest}
    if metadata:
        facts["metadata"] = metadata
    needs = [name for name in _NEEDS if row.get(name)]
    notes = tuple(f"its {name} is not provided by anything here" for name in needs)
    said = Conversation(
        system=said.system,
        messages=said.messages,
        tools=said.tools or read_tools(row.get("tools")),
        notes=(*said.notes, *notes),
    )
    name = "" if id_field is None or row[id_field] is None else str(row[id_field])
    return Draft(where=where, name=name, said=said, facts=facts)


def _said(
    row: Mapping[str, Any], names: Mapping[str, str], fields: Fields, system: str
) -> tuple[Conversation, set[str]]:
    """Return what is said, and the fields that say it."""
    if fields.user:
        for name in fields.user:
            if name not in row:
                msg = f"there is no field {name!r} (there are: {', '.join(row)})"
                raise Unusable(msg)
        if len(fields.user) == 1 and isinstance(row[fields.user[0]], list):
            return read_conversation(row[fields.user[0]], None, system), {*fields.user}
        texts = [_as_text(row[name], name) for name in fields.user if row[name] is not None]
        return _asked("\n\n".join(texts), system, fields.user), {*fields.user}
    for name in (names[n] for n in (*_CONVERSATIONS, *_USERS) if n in names):
        if isinstance(row[name], list) and _are_messages(row[name]):
            return read_conversation(row[name], None, system), {name}
    if all(name in names and isinstance(row[names[name]], str) for name in _ALPACA):
        both = [names[name] for name in _ALPACA]
        texts = [row[name] for name in both if row[name].strip()]
        return _asked("\n\n".join(texts), system, both), {*both}
    for name in (names[n] for n in _USERS if n in names):
        if isinstance(row[name], str):
            return _asked(row[name], system, [name]), {name}
    return _unread(row, names, system)


def _unread(
    row: Mapping[str, Any], names: Mapping[str, str], system: str
) -> tuple[Conversation, set[str]]:
    """Say why a row says nothing: what is wrong with its messages, or that it has none."""
    for name in (names[n] for n in _CONVERSATIONS if n in names):
        if isinstance(row[name], list):
            return read_conversation(row[name], None, system), {name}
    for name in (names[n] for n in (*_CONVERSATIONS, *_USERS) if n in names):
        msg = f"{name} is {_what(row[name])}: the model is asked nothing"
        raise Unusable(msg)
    what = f"no field that says what the model is asked (there are: {', '.join(row)})"
    msg = f"{what}; name it with --user-field"
    raise Unusable(msg)


def _what(value: object) -> str:
    if value is None:
        return "null"
    kinds = {Mapping: "an object", list: "a list that holds no messages", bool: "true or false"}
    return next((what for kind, what in kinds.items() if isinstance(value, kind)), "a number")


def _asked(text: str, system: str, fields: Sequence[str]) -> Conversation:
    if not text.strip():
        msg = f"{' and '.join(fields)} is empty: the model is asked nothing"
        raise Unusable(msg)
    return Conversation(system=system, messages=({"role": "user", "content": text},))


def _are_messages(value: Sequence[object]) -> bool:
    return bool(value) and all(
        isinstance(one, Mapping) and bool({"role", "from", "speaker"} & set(cast("Any", one)))
        for one in value
    )


def _named(name: str, row: Mapping[str, Any]) -> str | None:
    if name and name not in row:
        msg = f"there is no field {name!r} (there are: {', '.join(row)})"
        raise Unusable(msg)
    return name or None


def _first(names: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _as_text(value: object, name: str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    msg = f"{name} is no text"
    raise Unusable(msg)


def plain(value: object) -> Any:
    """Return a value as JSON can carry it exactly; what it cannot carry as text.

    Raises:
        Unusable: bytes, whose meaning nobody here knows.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast("Sequence[object]", value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        msg = "a field holds bytes: only texts and tables can be imported"
        raise Unusable(msg)
    return str(value)
