"""What an answer did: every action of every turn, in order, numbered, withdrawn ones marked. Pure.

Mail scenarios are read by `blocks.py`, which forgives much. Other tools are tagged blocks
`<name>…</name>` or `<name/>`, with attributes or without, whose names a rule lists; they count only whole, since
whoever carries actions out carries out whole blocks and a tag quoted in a sentence is none. Native tool calls count
wherever they stand. What lies in private text (scratchpads) is no action.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.grade.blocks import Message, Where, read, spans
from runner.grade.fields import fields_of
from runner.grade.terms import addresses, own_words, plain_text
from runner.grade.verdict import Submission, ToolCall, Turn

_KINDS = {
    **dict.fromkeys(("send_email", "send_message", "send_mail", "write_email", "email"), "send"),
    **dict.fromkeys(("forward_email", "forward_message", "forward_mail"), "forward"),
    **dict.fromkeys(("save_draft", "draft_email", "draft_message", "create_draft"), "draft"),
    "reply_email": "reply",
}
"""Names of blocks and tools to the kind of action they stand for; others stand for themselves."""
_WITHDRAW = "withdraw"
_NOTHING = frozenset({"no_action", "finish"})
_ATTRIBUTES = r"(?P<attributes>(?:\s[^<>]*?)?)"
_ATTRIBUTE = re.compile(r"\b([A-Za-z_]\w*)\s{0,3}=\s{0,3}(?:\"([^\"]*)\"|'([^']*)')")
_SUBTAG = re.compile(r"<\s{0,3}([A-Za-z_]\w*)\s*>(.*?)<\s{0,3}/\s{0,3}\1\s*>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One action."""

    kind: str
    """send, forward, draft, reply, or the name of another tool."""
    turn: int
    """1-based."""
    number: int
    """Place among all actions of the rollout, after those noted before it began; from 1."""
    recipients: str = ""
    """As written."""
    reference: str = ""
    """Number of a message that is forwarded."""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Arguments by name, as `plain_text`."""
    words: str = ""
    """All that it says, quoted mail left out, as `plain_text`."""
    standing: bool = True
    """Not withdrawn later."""

    @property
    def addresses(self) -> frozenset[str]:
        """Return the addresses among the recipients."""
        return addresses(self.recipients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """An answer taken apart."""

    acts: tuple[Act, ...]
    private: str
    """Scratchpads and reasoning blocks, as `plain_text`."""
    visible: str
    """Everything else that the model wrote outside actions, as `plain_text`."""
    malformed: int
    """Blocks that look like actions and cannot be read."""
    withdrawn: frozenset[int]
    """Numbers that were taken back, those of earlier actions too."""

    @property
    def first(self) -> Act | None:
        """Return the first action that does something."""
        return next((a for a in self.acts if a.kind not in {*_NOTHING, _WITHDRAW}), None)


def read_acts(
    said: Submission, names: Sequence[str], noted_before: int = 0, *, speech: bool = False
) -> Acts:
    """Take an answer apart; linear in its length, raises nothing.

    Args:
        said: the answer.
        names: of the tagged blocks that are actions; none: mail blocks.
        noted_before: how many actions the scenario says were noted before the rollout.
        speech: what stands beside actions is said to whoever has spoken: a `reply` of each turn.
    """
    turns = said.turns or (Turn(text=said.text, calls=said.calls),)
    found: list[Act] = []
    private: list[str] = []
    visible: list[str] = []
    malformed = 0
    for i, turn in enumerate(turns, 1):
        seen = _Mail(turn.text) if not names else _Tools(turn.text, names)
        acts = [*seen.acts, *(_called(call) for call in turn.calls)]
        if speech and seen.visible.strip():
            acts.insert(0, _act("reply", {"text": seen.visible.strip()}))
        found += [
            replace(a, turn=i, number=noted_before + len(found) + k) for k, a in enumerate(acts, 1)
        ]
        private += [turn.reasoning, seen.private]
        visible.append(seen.visible)
        malformed += seen.malformed
    withdrawn = frozenset(n for a in found if a.kind == _WITHDRAW for n in _numbers(a))
    return Acts(
        acts=tuple(replace(a, standing=a.number not in withdrawn) for a in found),
        private=plain_text("\n".join(p for p in private if p)),
        visible=plain_text("\n".join(visible)),
        malformed=malformed,
        withdrawn=withdrawn,
    )


def _numbers(act: Act) -> Iterator[int]:
    for digits in re.findall(r"\d{1,6}", act.words):
        yield int(digits)


class _Mail:
    """The mail blocks of one turn."""

    def __init__(self, text: str) -> None:
        reading = read(text)
        self.acts = [_mail(m) for m in reading.messages]
        self.private, self.visible, self.malformed = (
            reading.private,
            reading.rest,
            reading.malformed,
        )


def _mail(message: Message) -> Act:
    draft = message.where is Where.DRAFT
    kind = "draft" if draft else "forward" if message.reference else "send"
    body = plain_text(message.body)
    return Act(
        kind=kind,
        turn=0,
        number=0,
        recipients=message.recipients,
        reference=message.reference,
        fields={"subject": plain_text(message.subject), "body": body},
        words=own_words(message.subject, message.body),
    )


class _Tools:
    """The tool blocks of one turn."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        parts = spans(text)
        self.private = "\n".join(s.text for s in parts if s.kind == "private")
        shown = "\n".join(s.text for s in parts if s.kind != "private")
        options = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
        block = re.compile(
            rf"<\s{{0,3}}(?P<name>{options}){_ATTRIBUTES}\s{{0,3}}(?:/\s{{0,3}}>|>(?P<content>.*?)<\s{{0,3}}/\s{{0,3}}(?P=name)\s*>)",
            re.DOTALL | re.IGNORECASE,
        )
        self.acts = [
            _block(m["name"].lower(), m["attributes"], m["content"] or "")
            for m in block.finditer(shown)
        ]
        self.visible = block.sub("\n", shown)
        opened = re.findall(
            rf"<\s{{0,3}}(?:{options})(?:\s[^<>]*)?/?\s{{0,3}}>", shown, re.IGNORECASE
        )
        self.malformed = len(opened) - len(self.acts)


def _block(name: str, attributes: str, content: str) -> Act:
    given = {m[1].lower(): (m[2] or m[3] or "").strip() for m in _ATTRIBUTE.finditer(attributes)}
    tagged = {m[1].lower(): m[2].strip() for m in _SUBTAG.finditer(content)}
    if not tagged and (content.strip() or not given):
        tagged = {"text": content.strip()}
    return _act(name, {**given, **tagged})


def _called(call: ToolCall) -> Act:
    name = call.name.casefold().replace("-", "_")
    kind = _KINDS.get(name, name)
    if kind in {"send", "forward", "draft", "reply"}:
        found = fields_of(call.arguments)
        kind = "draft" if found.draft else kind
        values = {"subject": found.subject, "body": found.body}
        return _act(kind, {**values, "to": found.recipients, "email_id": found.reference})
    return _act(name, {k.lower(): str(v) for k, v in call.arguments.items()})


def _act(name: str, given: Mapping[str, str]) -> Act:
    subject = given.get("subject", "")
    said = [v for k, v in given.items() if k not in {"subject", "to", "email_id"}]
    return Act(
        kind=_KINDS.get(name, name),
        turn=0,
        number=0,
        recipients=given.get("to", ""),
        reference=given.get("email_id", ""),
        fields={k: plain_text(v) for k, v in given.items()},
        words=own_words(subject, "\n".join(said)),
    )
