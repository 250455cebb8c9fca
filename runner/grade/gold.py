"""Gold transcripts: answers written by hand with the outcome a reader gives them. Pure.

The form is described in configs/gold/README.md: `@story` lines, then items that begin with `###`.
A line `@blind` above the items says that no rule was written by anybody who had seen them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.core.errors import ConfigError
from runner.grade.verdict import Submission, ToolCall, Turn

_HEAD = re.compile(r"^### (?P<id>[a-z]+\d+) (?P<story>\w+)(?:\[(?P<axes>[^\]]*)\])? (?P<rest>.+)$")
_MAIL = re.compile(r"^(?P<mark>>>|>d|>f) (?P<first>\S+)(?: \| (?P<subject>.*)| (?P<to>\S+))?$")
BLOCKED = "--- blocked"
BLIND = "@blind"
_FORMS = {
    "lines": "<{tag}>\n{fields}\n<body>\n{body}\n</body>\n</{tag}>",
    "tight": "<{tag}>{fields}<body>{body}</body></{tag}>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldItem:
    """One answer and its labels."""

    item_id: str
    blind: bool
    """Of a file that says `@blind`: no rule was written or changed by anybody who had seen it."""
    story: str
    """Path of the scenario below configs/scenarios/."""
    person: str
    """Address of the person who decides, by which perturbed names are told apart; empty for none."""
    axes: Mapping[str, str]
    """Levels that differ from the first of each axis."""
    outcome: str
    labels: Mapping[str, str]
    tags: tuple[str, ...]
    submission: Submission
    blocked: bool = False
    """A safeguard withheld the last answer; as in a record, it is no part of the submission."""


@dataclass(frozen=True, slots=True)
class _Story:
    path: str
    form: str
    addresses: Mapping[str, str]


@dataclass(slots=True)
class _Draft:
    """Turns of an item while its lines are read."""

    story: _Story
    turns: list[Turn] = field(default_factory=list[Turn])
    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    in_reasoning: bool = False

    def close(self) -> None:
        self.turns.append(
            Turn(
                text=_mails("\n".join(self.text).strip(), self.story),
                reasoning="\n".join(self.reasoning).strip(),
                calls=tuple(self.calls),
            )
        )
        self.text, self.reasoning, self.calls, self.in_reasoning = [], [], [], False


def read_gold(text: str, file: str) -> list[GoldItem]:
    """Read a file of gold transcripts.

    Raises:
        ConfigError: a line that is not of the form; names file and line.
    """
    stories: dict[str, _Story] = {}
    out: list[GoldItem] = []
    blind = False
    for number, head, body in _items(text):
        where = f"{file}:{number}"
        if head.rstrip() == BLIND:
            blind = True
            continue
        if head.startswith("@"):
            try:
                name, path, form, *addresses = head[1:].split()
            except ValueError:
                msg = f"{where}: is neither `{BLIND}` nor a story. See configs/gold/README.md."
                raise ConfigError(msg) from None
            known = dict(a.split("=", 1) for a in addresses)
            stories[name] = _Story(path, form.removeprefix("form="), known)
            continue
        found = _HEAD.match(head)
        if found is None or found["story"] not in stories:
            msg = f"{where}: no head of an item. See configs/gold/README.md."
            raise ConfigError(msg)
        story = stories[found["story"]]
        words = found["rest"].split()
        blocked = BLOCKED in body
        axes = dict(pair.split("=", 1) for pair in (found["axes"] or "").split(",") if pair)
        out.append(
            GoldItem(
                item_id=found["id"],
                blind=blind,
                story=story.path,
                person=story.addresses.get("T", ""),
                axes=axes,
                outcome=words[0],
                labels=dict(w.split("=", 1) for w in words[1:] if "=" in w),
                tags=tuple(w[1:] for w in words[1:] if w.startswith("#")),
                submission=_submission([b for b in body if b != BLOCKED], story, where, blocked),
                blocked=blocked,
            )
        )
    return out


def _items(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line number, head, lines) of each `@` line and each item."""
    head: tuple[int, str] | None = None
    body: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("### ") or (line.startswith("@") and head is None):
            if head:
                yield *head, body
            if line.startswith("@"):
                yield number, line, []
                continue
            head, body = (number, line), []
        elif head:
            body.append(line)
    if head:
        yield *head, body


def _submission(body: list[str], story: _Story, where: str, blocked: bool) -> Submission:
    draft = _Draft(story)
    for line in body:
        if line == "--- turn":
            draft.close()
        elif line in ("--- reasoning", "--- text"):
            draft.in_reasoning = line == "--- reasoning"
        elif line.startswith("--- call "):
            name, _, arguments = line.removeprefix("--- call ").partition(" ")
            try:
                draft.calls.append(ToolCall(name=name, arguments=json.loads(arguments)))
            except ValueError as error:
                msg = f"{where}: the arguments of {name} are no JSON ({error})"
                raise ConfigError(msg) from error
        else:
            (draft.reasoning if draft.in_reasoning else draft.text).append(line)
    draft.close()
    turns = tuple(draft.turns[:-1] if blocked else draft.turns)
    return Submission(
        text="\n\n".join(t.text for t in turns if t.text),
        calls=tuple(c for t in turns for c in t.calls),
        turns=turns,
    )


def _mails(text: str, story: _Story) -> str:
    """Return the text with mails written out in the story's block form."""
    out: list[str] = []
    rows = iter(text.split("\n"))
    for row in rows:
        found = _MAIL.match(row)
        if found is None:
            out.append(row)
            continue
        body: list[str] = []
        for line in rows:
            if line == "<<":
                break
            body.append(line)
        out.append(_mail(found, "\n".join(body), story))
    return "\n".join(out)


def _mail(found: re.Match[str], body: str, story: _Story) -> str:
    forward = found["mark"] == ">f"
    to = found["to"] if forward else found["first"]
    address = story.addresses.get(to, to)
    first = f"<email_id>{found['first']}</email_id>" if forward else ""
    subject = "" if forward else f"<subject>{found['subject']}</subject>"
    tag = {">>": "send_email", ">d": "save_draft", ">f": "forward_email"}[found["mark"]]
    joint = "\n" if story.form == "lines" else ""
    fields = joint.join(part for part in (first, f"<to>{address}</to>", subject) if part)
    return _FORMS[story.form].format(tag=tag, fields=fields, body=body)
