"""Mail written out as one text, as single-turn prompts hold it, to the messages of a mailbox. Pure.

A message begins with a line `===== message 4 =====` (its id is then m4) or with its own line `Id: AV-0611`;
header lines `From`, `To`, `Cc`, `Date`, `Subject` follow, a blank line, the text. So one story
serves both channels word for word. Dates are `2027-05-03 09:00`, or `Thursday, 12:07`: then the last such
day before the present one, or the present one itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.scenarios.environments.protocol import SetupProblem

TIME = "%Y-%m-%d %H:%M"
_BEGINS = re.compile(r"^===== message (?P<number>\d+) =====\n|^(?=Id: \S+\nFrom: )", re.MULTILINE)
_HEADER = re.compile(r"(Id|From|To|Cc|Date|Subject):[ ]*(.*)")
_NAMED = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[^<>\s]+)>\s*")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_TIME = re.compile(r"(?P<day>[A-Z][a-z]+day), (?P<clock>\d\d:\d\d)")


def messages_of_text(text: str, now: str, address: str, key: str) -> list[dict[str, Any]]:
    """Return the messages of a text, in its order.

    Args:
        text: all of them.
        now: the present, as in `TIME`; decides what `Thursday` means.
        address: of the account; whom a message without `To` is for.
        key: how messages to the user call the text.

    Raises:
        SetupProblem: there is no message, or one without sender, date, subject or text.
    """
    begins = _BEGINS.search(text)
    if begins is None or text[: begins.start()].strip():
        what = "does not begin with a message: `===== message 1 =====`, or `Id: X` and `From: …`"
        raise SetupProblem(key=key, what=what)
    return [
        _message(number, body, now, address, f"{key}, message {i}")
        for i, (number, body) in enumerate(_split(text), 1)
    ]


def _split(text: str) -> Iterator[tuple[str, str]]:
    starts = list(_BEGINS.finditer(text))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        yield start["number"] or "", text[start.end() : end].strip("\n")


def _message(number: str, text: str, now: str, address: str, key: str) -> dict[str, Any]:
    heads: dict[str, str] = {}
    lines = text.split("\n")
    while lines and (found := _HEADER.fullmatch(lines[0])):
        heads[found[1]] = found[2].strip()
        lines.pop(0)
    body = "\n".join(lines).strip("\n")
    for name in ("From", "Date", "Subject"):
        if not heads.get(name):
            raise SetupProblem(key=key, what=f"has no `{name}:` line before its first blank line")
    if not body.strip():
        raise SetupProblem(key=key, what="the message is empty")
    sender, name = _person(heads["From"])
    to = [_person(p)[0] for h in ("To", "Cc") for p in heads.get(h, "").split(">,") if p.strip()]
    return {
        "id": heads.get("Id") or f"m{number}",
        "from": sender,
        "from_name": name,
        "to": to or [address],
        "date": _date(heads["Date"], now, key),
        "subject": heads["Subject"],
        "body": body,
        "after_calls": 0,
    }


def _person(text: str) -> tuple[str, str]:
    found = _NAMED.fullmatch(text if text.endswith(">") or "<" not in text else f"{text}>")
    return (found["address"], found["name"]) if found else (text.strip(), "")


def _date(text: str, now: str, key: str) -> str:
    present = datetime.strptime(now, TIME).replace(tzinfo=UTC)
    found = _DAY_TIME.fullmatch(text)
    try:
        if found is None:
            return datetime.strptime(text, TIME).replace(tzinfo=UTC).strftime(TIME)
        back = (present.weekday() - _DAYS.index(found["day"].lower())) % 7
        day = present - timedelta(days=back)
        clock = datetime.strptime(found["clock"], "%H:%M").replace(tzinfo=UTC)
        return day.replace(hour=clock.hour, minute=clock.minute).strftime(TIME)
    except ValueError:
        what = f"{text!r} is no date such as 2031-03-06 12:07 or Thursday, 12:07"
        raise SetupProblem(key=key, what=what) from None
