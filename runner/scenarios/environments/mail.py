"""A mail account: read, search, send, forward, draft, delete; calendar and contacts. Pure.

Colleagues answer by rules written in the scenario: who answers, to which words, after how many
further tool calls, how likely (drawn from the seed by the rule's place). Mail to an address that
nobody has comes back; mail that the scenario dates `after_calls` arrives then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.scenarios.environments.letters import TIME, messages_of_text
from runner.scenarios.environments.post import answered, delivered, receive, reply_subject
from runner.scenarios.environments.protocol import (
    Call,
    Letter,
    SetupProblem,
    State,
    Step,
    Tool,
    failed,
)
from runner.scenarios.environments.reading import Setup

_ADDRESS = re.compile(r"(?<![^\s@<>,;])[^\s@<>,;]+@[^\s@<>,;]+")
_SEPARATOR = re.compile(r"[,;]")
_MOST_RECIPIENTS = 50

_TEXT = {"type": "string"}
_TO = {"type": "string", "description": "One address, or several separated by commas."}
_ID = {"type": "string", "description": "Id of a message, such as m3."}
_TOOLS = (
    Tool(
        name="list_emails",
        description="List the messages of a folder, oldest first: id, date, sender, subject.",
        properties={"folder": {"type": "string", "enum": ["inbox", "sent", "drafts"]}},
    ),
    Tool(
        name="read_email",
        description="Read one message.",
        properties={"email_id": _ID},
        required=("email_id",),
    ),
    Tool(
        name="search_emails",
        description="Find messages that hold a word, in subject, sender or text.",
        properties={"query": {"type": "string", "minLength": 1}},
        required=("query",),
    ),
    Tool(
        name="send_email",
        description="Send a message. It leaves at once and cannot be taken back.",
        properties={"to": _TO, "cc": _TO, "subject": _TEXT, "body": _TEXT},
        required=("to", "subject", "body"),
    ),
    Tool(
        name="forward_email",
        description="Forward a message, with a line of your own before it.",
        properties={"email_id": _ID, "to": _TO, "body": _TEXT},
        required=("email_id", "to"),
    ),
    Tool(
        name="save_draft",
        description="Keep a message without sending it.",
        properties={"to": _TO, "subject": _TEXT, "body": _TEXT},
        required=("body",),
    ),
    Tool(
        name="delete_email",
        description="Delete a message for good.",
        properties={"email_id": _ID},
        required=("email_id",),
    ),
    Tool(
        name="list_calendar",
        description="List the appointments of the account, earliest first.",
    ),
    Tool(
        name="list_contacts",
        description="List the address book, or the entries that hold a word.",
        properties={"query": _TEXT},
    ),
)


class Mail:
    """The part `mail`."""

    name = "mail"
    version = 2

    def tools(self, setup: Mapping[str, Any]) -> Sequence[Tool]:
        """Return the tools of a mail account."""
        del setup
        return _TOOLS

    def start(self, setup: Mapping[str, Any], key: str) -> State:
        """Return the account before the first call; keys as in docs/scenarios.md.

        Raises:
            SetupProblem: a message without a field, a date that is none, …
        """
        given = Setup(setup, key)
        given.only(*("address", "now", "minutes_per_call", "mails", "contacts"), "calendar",
                   "answers", "accepts", "batch")  # fmt: skip
        address, now = given.text("address"), _time(given, "now")
        mails: list[dict[str, Any]] = []
        if given.text("batch", "").strip():
            mails = messages_of_text(given.text("batch"), now, address, f"{key}.batch")
        mails += [_mail(e, i) for i, e in enumerate(given.entries("mails"), len(mails) + 1)]
        contacts = [
            {"name": e.text("name"), "address": e.text("address"), "note": e.text("note", "")}
            for e in given.entries("contacts")
        ]
        calendar = [
            {"at": _time(e, "at"), "what": e.text("what")} for e in given.entries("calendar")
        ]
        answers = _named([_answer(entry) for entry in given.entries("answers")])
        known = {address, *(c["address"] for c in contacts), *given.texts("accepts")}
        known |= {a for m in mails for a in (m["from"], *m["to"])} | {a["from"] for a in answers}
        later = [m for m in mails if m["after_calls"]]
        return {
            "address": address,
            "now": now,
            "minutes": given.whole("minutes_per_call", 2),
            "calls": 0,
            "inbox": [m for m in mails if not m["after_calls"]],
            "sent": [],
            "drafts": [],
            "later": later,
            "next": len(mails) + 1,
            "contacts": contacts,
            "calendar": sorted(calendar, key=lambda c: str(c["at"])),
            "answers": answers,
            "known": sorted(a.lower() for a in known),
        }

    def step(self, state: State, call: Call, seed: int) -> Step:  # noqa: PLR0911  # one case a tool
        """Let two minutes (or as set up) pass, deliver what is due, and answer the call."""
        now = datetime.strptime(state["now"], TIME).replace(tzinfo=UTC) + timedelta(
            minutes=state["minutes"]
        )
        state = delivered({**state, "now": now.strftime(TIME), "calls": state["calls"] + 1})
        given = call.arguments
        match call.name:
            case "list_emails":
                return _list(state, given.get("folder", "inbox"))
            case "read_email":
                return _read(state, given["email_id"])
            case "search_emails":
                return _search(state, given["query"])
            case "send_email":
                return _send(state, given, seed)
            case "forward_email":
                return _forward(state, given, seed)
            case "save_draft":
                return _draft(state, given)
            case "delete_email":
                return _delete(state, given["email_id"])
            case "list_calendar":
                lines = [f"{c['at']}  {c['what']}" for c in state["calendar"]]
                return Step(state=state, content="\n".join(lines) or "No appointments.")
            case _:
                return _contacts(state, given.get("query", ""))

    def notice(self, before: State, after: State) -> str | None:
        """Say which messages arrived."""
        old = {m["id"] for m in before["inbox"]}
        new = [m for m in after["inbox"] if m["id"] not in old]
        lines = [f"New message {m['id']} from {m['from']}: {m['subject']}" for m in new]
        return "\n".join(lines) or None

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Put an answer that a model wrote into the inbox."""
        return receive(state, letter.address, reply_subject(letter.subject), text)


def _mail(entry: Setup, number: int) -> dict[str, Any]:
    entry.only(*("id", "from", "from_name", "to", "date", "subject", "body", "after_calls"), "when",
               "line")  # fmt: skip
    after = entry.whole("after_calls", 0)
    if not entry.text("body").strip():
        raise SetupProblem(
            key=f"{entry.key}.body", what="the message is empty: write its text, or take it out"
        )
    return {
        "id": entry.text("id", f"m{number}"),
        "from": entry.text("from"),
        "from_name": entry.text("from_name", ""),
        "to": entry.texts("to"),
        "date": "" if after else _time(entry, "date"),
        "subject": entry.text("subject"),
        "body": entry.text("body").strip("\n"),
        "after_calls": after,
    }


def _answer(entry: Setup) -> dict[str, Any]:
    entry.only("from", "mentions", "not_mentions", "after_calls", "chance", "subject", "body",
               "times", "when")  # fmt: skip
    try:
        chance = float(entry.text("chance", "1"))
    except ValueError:
        raise SetupProblem(key=f"{entry.key}.chance", what="needs a number from 0 to 1") from None
    return {
        "from": entry.text("from"),
        "mentions": [m.lower() for m in entry.texts("mentions")],
        "not_mentions": [m.lower() for m in entry.texts("not_mentions")],
        "after_calls": entry.whole("after_calls", 1),
        "chance": chance,
        "subject": entry.text("subject", ""),
        "body": entry.text("body").strip("\n"),
        "times": entry.whole("times", 1),
    }


def _named(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each rule the name by which its chance is drawn.

    Not its place: that depends on which others an arm has, and the draw of a seed is the same in all arms.
    """
    alike: Counter[str] = Counter()
    out: list[dict[str, Any]] = []
    for rule in answers:
        said = f"{rule['from']} {rule['mentions']} {rule['not_mentions']}"
        out.append({"key": f"{said} {alike[said]}", **rule})
        alike[said] += 1
    return out


def _time(entry: Setup, name: str) -> str:
    value = entry.text(name)
    try:
        return datetime.strptime(value, TIME).replace(tzinfo=UTC).strftime(TIME)
    except ValueError:
        what = f"{value!r} is no time of the form 2031-03-06 12:07"
        raise SetupProblem(key=f"{entry.key}.{name}", what=what) from None


def _all(state: State) -> list[Mapping[str, Any]]:
    return [*state["inbox"], *state["sent"], *state["drafts"]]


def _find(state: State, email_id: str) -> Mapping[str, Any] | None:
    return next((m for m in _all(state) if m["id"] == email_id.strip()), None)


def _line(mail: Mapping[str, Any]) -> str:
    return f"{mail['id']}  {mail['date']}  {_shown(mail)}  {mail['subject']}"


def _shown(mail: Mapping[str, Any]) -> str:
    return f"{mail['from_name']} <{mail['from']}>" if mail["from_name"] else str(mail["from"])


def _list(state: State, folder: str) -> Step:
    lines = [_line(m) for m in state[folder]]
    return Step(state=state, content="\n".join(lines) or f"No messages in {folder}.")


def _whole(mail: Mapping[str, Any]) -> str:
    heads = [f"Id: {mail['id']}", f"From: {_shown(mail)}", f"To: {', '.join(mail['to'])}"]
    heads += [f"Date: {mail['date']}", f"Subject: {mail['subject']}"]
    return "\n".join([*heads, "", mail["body"]])


def _read(state: State, email_id: str) -> Step:
    mail = _find(state, email_id)
    if mail is None:
        return failed(state, f"there is no message {email_id!r}")
    return Step(state=state, content=_whole(mail))


def _search(state: State, query: str) -> Step:
    word = query.lower()
    fields = ("subject", "from", "from_name", "body")
    found = [m for m in _all(state) if any(word in str(m[f]).lower() for f in fields)]
    return Step(state=state, content="\n".join(map(_line, found)) or "Nothing found.")


def _recipients(given: Mapping[str, Any]) -> list[str] | str:
    """Return the addresses, or what is wrong with them."""
    parts = [p for f in ("to", "cc") for p in _SEPARATOR.split(given.get(f, "")) if p.strip()]
    found: list[str] = []
    for part in parts:
        address = _ADDRESS.search(part)
        if address is None:
            return f"{part.strip()!r} is no e-mail address"
        found.append(address[0])
    if not found:
        return "no recipient was given"
    return found if len(found) <= _MOST_RECIPIENTS else f"more than {_MOST_RECIPIENTS} recipients"


def _send(state: State, given: Mapping[str, Any], seed: int) -> Step:
    to = _recipients(given)
    if isinstance(to, str):
        return failed(state, to)
    return _sent(state, to, given["subject"], given["body"], seed, {"effect": "sent"})


def _forward(state: State, given: Mapping[str, Any], seed: int) -> Step:
    to = _recipients(given)
    mail = _find(state, given["email_id"])
    if mail is None:
        return failed(state, f"there is no message {given['email_id']!r}")
    if isinstance(to, str):
        return failed(state, to)
    body = f"{given.get('body', '')}\n\n---- forwarded message ----\n{_whole(mail)}".lstrip("\n")
    facts = {"effect": "forwarded", "email_id": mail["id"]}
    return _sent(state, to, f"Fwd: {mail['subject']}", body, seed, facts)


def _sent(  # noqa: PLR0917  # the pieces of one message
    state: State, to: list[str], subject: str, body: str, seed: int, facts: Mapping[str, Any]
) -> Step:
    mail = {
        "id": f"m{state['next']}",
        "from": state["address"],
        "from_name": "",
        "to": to,
        "date": state["now"],
        "subject": subject,
        "body": body,
        "after_calls": 0,
    }
    state = {**state, "next": state["next"] + 1, "sent": [*state["sent"], mail]}
    for address in dict.fromkeys(to):
        state = answered(state, address, subject, body, seed)
    letters = tuple(
        Letter(sender=state["address"], address=a, subject=subject, body=body)
        for a in dict.fromkeys(to)
    )
    return Step(
        state=state,
        content=f"Sent as {mail['id']} to {', '.join(to)}.",
        effect=facts["effect"],
        facts={"email_id": facts.get("email_id", mail["id"]), "to": to, "subject": subject},
        letters=letters,
    )


def _draft(state: State, given: Mapping[str, Any]) -> Step:
    mail = {
        "id": f"m{state['next']}",
        "from": state["address"],
        "from_name": "",
        "to": [given["to"]] if given.get("to") else [],
        "date": state["now"],
        "subject": given.get("subject", ""),
        "body": given["body"],
        "after_calls": 0,
    }
    state = {**state, "next": state["next"] + 1, "drafts": [*state["drafts"], mail]}
    facts = {"email_id": mail["id"], "to": mail["to"], "subject": mail["subject"]}
    return Step(state=state, content=f"Kept as {mail['id']}.", effect="drafted", facts=facts)


def _delete(state: State, email_id: str) -> Step:
    mail = _find(state, email_id)
    if mail is None:
        return failed(state, f"there is no message {email_id!r}")
    left = {f: [m for m in state[f] if m is not mail] for f in ("inbox", "sent", "drafts")}
    facts = {"email_id": mail["id"], "subject": mail["subject"]}
    return Step(
        state={**state, **left}, content=f"Deleted {mail['id']}.", effect="deleted", facts=facts
    )


def _contacts(state: State, query: str) -> Step:
    word = query.lower()
    found = [c for c in state["contacts"] if any(word in str(v).lower() for v in c.values())]
    lines = [f"{c['name']} <{c['address']}>{'  ' + c['note'] if c['note'] else ''}" for c in found]
    return Step(state=state, content="\n".join(lines) or "No entry.")
