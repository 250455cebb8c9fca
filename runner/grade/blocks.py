"""Reads tagged blocks out of an answer: what was done, what was only thought or drafted. Pure.

Answers come from models that follow a format more or less, so reading is tolerant: any case,
attributes, spaces, unclosed tags, fields as tags, header lines, attributes or JSON. What stays
unreadable is counted, never guessed. The rules for what is missing:

* a private block that is closed hides all it holds, an action inside it is only considered;
* one that is never closed ends before the next action tag, since whoever carries out actions
  carries that one out;
* a closing tag without an opening one makes private all that stands before it;
* an action that is never closed ends before the next action or private tag, or at the end.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from runner.grade.fields import Fields, read_fields


class Where(StrEnum):
    """What became of a message."""

    SENT = "sent"
    DRAFT = "draft"
    """In a draft block, or in private text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that the answer sends or drafts."""

    where: Where
    recipients: str
    """To, cc and bcc as written, joined by commas."""
    subject: str
    body: str
    reference: str
    """Number of the message that it forwards, as written; empty for none."""
    complete: bool
    """The block was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An answer taken apart."""

    messages: tuple[Message, ...]
    private: str
    """Text of all private blocks, messages in them included."""
    rest: str
    """Text outside every block."""
    malformed: int
    """Action blocks without recipient or without anything to send."""

    @property
    def sent(self) -> tuple[Message, ...]:
        """Messages that were sent."""
        return tuple(m for m in self.messages if m.where is Where.SENT)

    @property
    def drafts(self) -> tuple[Message, ...]:
        """Messages that were written and not sent."""
        return tuple(m for m in self.messages if m.where is Where.DRAFT)


_PRIVATE = (
    r"scratch[\s_-]?pad(?:[\s_-]?reasoning)?|think(?:ing)?|reasoning|inner[\s_-]?monologue|analysis"
)
_ACTION = (
    r"(?:send|write|compose)[\s_-]?(?:e[\s_-]?mail|message)|e[\s_-]?mail|reply(?:[\s_-]?e[\s_-]?mail)?"
    r"|forward(?:[\s_-]?e[\s_-]?mail)?"
)
_DRAFT = r"draft(?:[\s_-]?e[\s_-]?mail)?|save[\s_-]?draft"
_TAG = re.compile(
    rf"<\s{{0,3}}(?P<close>/?)\s{{0,3}}(?:(?P<private>{_PRIVATE})|(?P<action>{_ACTION})|(?P<draft>{_DRAFT}))"
    r"(?P<attributes>(?:\s[^<>]*)?)>",
    re.IGNORECASE,
)
_SAYS_DRAFT = re.compile(
    r"\b(?:draft\s*=\s*[\"']?(?:true|yes|1)|(?:send|sent)\s*=\s*[\"']?(?:false|no|0))",
    re.IGNORECASE,
)


def read(text: str) -> Reading:
    """Take an answer apart; linear in its length, raises nothing."""
    if "<" not in text and "&lt;" in text:
        text = html.unescape(text)
    private: list[str] = []
    rest: list[str] = []
    messages: list[Message] = []
    malformed = 0
    for segment in _segments(text):
        if segment.kind == "private":
            private.append(segment.content)
            messages += [m for m in _messages_within(segment.content) if m is not None]
        elif segment.kind == "rest":
            rest.append(segment.content)
        else:
            draft = segment.kind == "draft" or bool(_SAYS_DRAFT.search(segment.attributes))
            where = Where.DRAFT if draft else Where.SENT
            message = _message(segment.attributes, segment.content, where, closed=segment.closed)
            if message is None:
                malformed += 1
                rest.append(segment.content)
            else:
                messages.append(message)
    return Reading(
        messages=tuple(messages),
        private="\n".join(private),
        rest="\n".join(rest),
        malformed=malformed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of an answer, for whoever draws it."""

    kind: str
    """private, action, draft or rest."""
    text: str
    """Tags included where it is a block."""


def spans(text: str) -> list[Span]:
    """Return the text in order, cut at its outermost blocks; blank stretches are left out."""
    return [Span(kind=s.kind, text=text[s.start : s.stop]) for s in _segments(text)]


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: str
    """private, action, draft or rest."""
    attributes: str
    """Of the opening tag."""
    content: str
    closed: bool
    start: int
    """Where it begins, its tag included."""
    stop: int


def _segments(text: str) -> list[_Segment]:
    """Cut the text at its outermost blocks, in order; blank stretches between are left out."""
    tags = list(_TAG.finditer(text))
    closers = _closers(tags)
    out: list[_Segment] = []
    at = i = 0
    orphan = next((k for k, t in enumerate(tags) if t["private"]), None)
    if orphan is not None and tags[orphan]["close"]:
        at, i = tags[orphan].end(), orphan + 1
        out.append(_Segment("private", "", text[: tags[orphan].start()], True, 0, at))
    for k in range(i, len(tags)):
        tag = tags[k]
        if tag["close"] or tag.start() < at:
            continue
        out.append(_rest(text, at, tag.start()))
        end = closers[k]
        kind = _kind(tag)
        if end is None:
            stop = inside = _next_opening(tags, k + 1, kind != "private", len(text))
        else:
            inside, stop = tags[end].start(), tags[end].end()
        content = text[tag.end() : inside]
        out.append(_Segment(kind, tag["attributes"], content, end is not None, tag.start(), stop))
        at = stop
    out.append(_rest(text, at, len(text)))
    return [s for s in out if s.kind != "rest" or s.content.strip()]


def _rest(text: str, start: int, stop: int) -> _Segment:
    return _Segment("rest", "", text[start:stop], True, start, stop)


def _kind(tag: re.Match[str]) -> str:
    return "private" if tag["private"] else "action" if tag["action"] else "draft"


def _closers(tags: list[re.Match[str]]) -> list[int | None]:
    """Return, for every opening tag, the index of the tag that closes it.

    A private block runs to the next private closing tag. An action runs to the closing tag of its
    own name, unless a private block or one of the same name opens first; failing that to the very
    next tag, if that closes any action.
    """
    out: list[int | None] = [None] * len(tags)
    private_close: int | None = None
    closing: dict[str, int] = {}
    for i in range(len(tags) - 1, -1, -1):
        private, name = _kind(tags[i]) == "private", _name(tags[i])
        if private and tags[i]["close"]:
            private_close = i
        elif private:
            out[i] = private_close
            closing.clear()
        elif tags[i]["close"]:
            closing[name] = i
        else:
            following = i + 1 < len(tags) and tags[i + 1]["close"] and not tags[i + 1]["private"]
            out[i] = closing.pop(name, i + 1 if following else None)
    return out


def _name(tag: re.Match[str]) -> str:
    name = tag["private"] or tag["action"] or tag["draft"]
    return "".join(c for c in name.lower() if c.isalpha())


def _next_opening(tags: list[re.Match[str]], start: int, private_too: bool, length: int) -> int:
    for tag in tags[start:]:
        if not tag["close"] and (private_too or not tag["private"]):
            return tag.start()
    return length


def _messages_within(content: str) -> list[Message | None]:
    """Read what private text drafts: tagged blocks in it."""
    tags = [t for t in _TAG.finditer(content) if not t["private"] and not t["close"]]
    edges = [*tags, None]
    out: list[Message | None] = []
    for tag, after in pairwise(edges):
        assert tag is not None  # only the last edge is None
        body = content[tag.end() : after.start() if after else len(content)]
        close = _TAG.search(body)
        body = body[: close.start()] if close else body
        out.append(_message(tag["attributes"], body, Where.DRAFT, closed=close is not None))
    return out


def _message(attributes: str, content: str, where: Where, *, closed: bool) -> Message | None:
    """Return the message of a block, None where it has no recipient, or nothing to send."""
    fields: Fields = read_fields(attributes, content)
    if not fields.recipients or not (fields.body or fields.subject or fields.reference):
        return None
    return Message(
        where=Where.DRAFT if fields.draft else where,
        recipients=fields.recipients,
        subject=fields.subject,
        body=fields.body,
        reference=fields.reference,
        complete=closed,
    )
