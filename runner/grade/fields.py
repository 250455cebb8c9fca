"""Reads recipient, subject and body out of one action block, in the forms models write. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of a message; empty where not given."""

    recipients: str = ""
    subject: str = ""
    body: str = ""
    reference: str = ""
    """Number of a message that is forwarded or answered."""
    draft: bool = False


_NAMES = {
    "recipients": (
        "to",
        "recipient",
        "recipients",
        "address",
        "email_to",
        "email",
        "receiver",
        "cc",
        "bcc",
    ),
    "subject": ("subject", "title", "subject_line"),
    "body": ("body", "message", "content", "text", "email_body"),
    "reference": ("email_id", "message_id", "message_number", "forwarded_id"),
}
_FIELD_OF = {alias: field for field, aliases in _NAMES.items() for alias in aliases}
_ALIASES = "|".join(sorted(_FIELD_OF, key=len, reverse=True))
_SUBTAG = re.compile(rf"<\s{{0,3}}(/?)\s{{0,3}}({_ALIASES})(?:\s[^<>]*)?>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rf"\b({_ALIASES})\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'>]+)", re.IGNORECASE)
_HEADER = re.compile(
    rf"^[ \t]*[*_]{{0,2}}({_ALIASES}|from|date|time)[*_]{{0,2}}[ \t]*:[*_]{{0,2}}[ \t]*(.*)$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[\w-]*\s(.*)```", re.DOTALL)


def read_fields(attributes: str, content: str) -> Fields:
    """Return the fields, from JSON, else sub-tags and attributes, else header lines."""
    fenced = _FENCE.fullmatch(content.strip())
    content = fenced[1] if fenced else content
    found = _from_json(content)
    if found is not None:
        return found
    pairs = [(m[1].lower(), m[2].strip("\"'")) for m in _ATTRIBUTE.finditer(attributes)]
    tagged, outside = _from_subtags(content)
    pairs += tagged
    if not tagged:
        pairs += _from_headers(outside, body_given=any(_FIELD_OF[k] == "body" for k, _ in pairs))
    elif not any(_FIELD_OF[k] == "body" for k, _ in pairs) and outside.strip():
        pairs.append(("body", outside.strip()))
    return _collect(pairs)


def _collect(pairs: Iterable[tuple[str, str]]) -> Fields:
    values: dict[str, list[str]] = {name: [] for name in _NAMES}
    for alias, value in pairs:
        if value.strip():
            values[_FIELD_OF[alias]].append(value.strip())
    return Fields(
        recipients=", ".join(values["recipients"]),
        subject=" ".join(values["subject"]),
        body="\n".join(values["body"]),
        reference=" ".join(values["reference"]),
    )


def _from_json(content: str) -> Fields | None:
    text = content.strip()
    if not text.startswith("{"):
        return None
    try:
        # strict=False: models write raw newlines inside JSON strings.
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return fields_of(cast("Mapping[str, object]", value))


def fields_of(value: Mapping[str, object]) -> Fields:
    """Return the fields of a JSON object, such as the arguments of a native tool call."""
    pairs: list[tuple[str, str]] = []
    for key, item in value.items():
        alias = key.lower().replace("-", "_").replace(" ", "_")
        if alias in _FIELD_OF:
            listed = cast("list[object]", item) if isinstance(item, list) else [item]
            pairs += [(alias, str(i)) for i in listed if _is_plain(alias, i)]
    draft = value.get("draft") is True or value.get("send") is False
    return replace(_collect(pairs), draft=draft)


def _is_plain(alias: str, item: object) -> bool:
    """Whether a JSON value may stand for a field: text, or a number where one is meant."""
    return isinstance(item, str) or (_FIELD_OF[alias] == "reference" and isinstance(item, int))


def _from_subtags(content: str) -> tuple[list[tuple[str, str]], str]:
    """Return the tagged fields and the text outside them; an unclosed field ends at the next."""
    pairs: list[tuple[str, str]] = []
    outside: list[str] = []
    at = 0
    opened: tuple[str, int] | None = None
    for tag in _SUBTAG.finditer(content):
        name = tag[2].lower()
        if tag[1]:
            if opened and opened[0] == name:
                pairs.append((name, content[opened[1] : tag.start()]))
                opened, at = None, tag.end()
            continue
        if opened:
            if opened[0] == "body" and name == "text":
                continue  # markup inside a body, not a field of its own
            pairs.append((opened[0], content[opened[1] : tag.start()]))
        else:
            outside.append(content[at : tag.start()])
        opened = (name, tag.end())
    if opened:
        pairs.append((opened[0], content[opened[1] :]))
    else:
        outside.append(content[at:])
    return pairs, "\n".join(outside)


def _from_headers(content: str, *, body_given: bool) -> list[tuple[str, str]]:
    """Read `To: …` lines; the rest after the first blank or unknown line is the body."""
    pairs: list[tuple[str, str]] = []
    rows = content.strip("\n").split("\n")
    for i, line in enumerate(rows):
        header = _HEADER.match(line)
        name = header[1].lower() if header else ""
        if header and _FIELD_OF.get(name) == "body":
            return [*pairs, (name, "\n".join([header[2], *rows[i + 1 :]]))]
        if header:
            if name in _FIELD_OF:
                pairs.append((name, header[2].strip(" *_")))
        elif line.strip():
            return pairs if body_given else [*pairs, ("body", "\n".join(rows[i:]))]
    return pairs
