"""What rendered texts give away: places not filled in, mail that cannot be, dates that contradict.

Mail stands in texts as blocks of `From:`, `To:`, `Date:` or `Time:`, `Subject:` lines, and in environments as
lists; both are read into the same form and judged alike. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from runner.scenarios.environments.protocol import State

_STRAY = re.compile(
    r"\{\{-?\s*[A-Za-z_][^{}\n]{0,60}\}\}|\{%|\$\{[^}\n]{0,40}\}?|\{[A-Za-z_][\w -]{0,40}\}"
)
"""What only a template has. A bare `}}` ends JSON within JSON, too: whether it stands alone is counted."""
_ALONE = re.compile(r"\{\{|\}\}|%\}|[{}]")
_PAIR = re.compile(r"\{[^{}]*\}")
"""Braces that belong together: code and JSON are full of them."""
_HEADER = re.compile(r"^(From|To|Cc|Date|Time|Sent|Subject|Id|ID):[ \t]*(.*)$", re.MULTILINE)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_DAY = rf"(?:{'|'.join(f'{d[:3]}(?:{d[3:]})?' for d in _DAYS)}|tues|thurs?)"
_MONTH = rf"(?:{'|'.join(f'{m[:3]}(?:{m[3:]})?' if m != 'may' else m for m in _MONTHS)}|sept)"
_CLOCK = re.compile(r"\b([01]?\d|2[0-3])[:.]([0-5]\d)\b")
_ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)(?=T\d|\b)")
_LONG = re.compile(
    rf"\b(?:({_DAY})\.?,? (?:the )?)?(\d{{1,2}})(?:st|nd|rd|th)? ({_MONTH})\.?,? (\d{{4}})\b",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"\b(?:({_DAY})\.?,? )?({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b",
    re.IGNORECASE,
)
_DAY_BEFORE_ISO = re.compile(rf"\b({_DAY})\.?,? (\d{{4}}-\d\d-\d\d)\b", re.IGNORECASE)
_YEAR = re.compile(r"\b\d{4}\b")
_NAMED = re.compile(r"([^<>]*)<([^<>\s]+@[^<>\s]+)>")
_OF_DAY = re.compile(
    r"\b(?P<hour>\d{1,2})[:.](?P<minute>[0-5]\d)(?:[:.](?P<second>[0-5]\d))?\s*(?P<half>[ap]\.?m\b)?"
    r"\s*(?P<zone>Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)?",
    re.IGNORECASE,
)
_AROUND = 20
_CORRECT = "Correct the date or the weekday"


class Fault(NamedTuple):
    """What a text gives away."""

    what: str
    fix: str
    at: int = 0
    """Where in the text, in characters."""
    mail: Message | None = None
    """The mail that it is about."""
    part: str = "body"
    """Of the mail: body, date or from_name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One mail as a reader sees it."""

    where: str
    people: tuple[str, ...]
    """Values of From, To and Cc."""
    date: str
    subject: str = ""
    body: str
    places: Mapping[str, int] = field(default_factory=dict[str, int])
    """Where in the text its header lines stand, by their names, in characters."""

    def fault(self, what: str, fix: str, part: str) -> Fault:
        """Return a fault of it, placed in the text."""
        heads = {"date": ("Date", "Time", "Sent"), "from_name": ("From", "To")}
        first = min(self.places.values(), default=0)
        at = next((self.places[h] for h in heads.get(part, ()) if h in self.places), first)
        return Fault(what, fix, at, self, part)


def strays(text: str) -> Iterator[Fault]:
    """Yield, once each, what looks as if it was not filled in, with what stands around it."""
    said: set[str] = set()
    for found in _STRAY.finditer(text):
        if found[0] not in said:
            said.add(found[0])
            yield _stray(text, found.start(), found[0])
    if said or ("{" not in text and "}" not in text):
        return
    rest, before = text, ""
    while rest != before:
        before = rest
        rest = _PAIR.sub(lambda pair: " " * len(pair[0]), rest)
    alone = _ALONE.search(rest)
    if alone is not None:
        yield _stray(text, alone.start(), alone[0])


def _stray(text: str, at: int, what: str) -> Fault:
    around = text[max(at - _AROUND, 0) : at + len(what) + _AROUND].replace("\n", " ")
    said = f"the rendered text holds {what!r}, as if something was not filled in: …{around}…"
    return Fault(said, "Write it as {{ variable }} and define that, or take the braces out", at)


def messages_in(text: str, where: str) -> list[Message]:
    """Return the mail that stands in a text; a block of two header lines or more begins one."""
    blocks: list[list[re.Match[str]]] = []
    for match in _HEADER.finditer(text):
        near = blocks and text[blocks[-1][-1].end() : match.start()].strip("\n ") == ""
        same = near and match[1] not in {m[1] for m in blocks[-1]}
        if same:
            blocks[-1].append(match)
        else:
            blocks.append([match])
    mails = [b for b in blocks if len(b) > 1 and {"From", "Subject"} & {m[1] for m in b}]
    found: list[Message] = []
    for i, block in enumerate(mails):
        end = mails[i + 1][0].start() if i + 1 < len(mails) else len(text)
        heads = {m[1]: m[2] for m in block}
        found.append(
            Message(
                where=f"{where}, mail {i + 1}",
                people=tuple(heads[k] for k in ("From", "To", "Cc") if k in heads),
                date=heads.get("Date") or heads.get("Time") or heads.get("Sent") or "",
                subject=heads.get("Subject", ""),
                body=text[block[-1].end() : end],
                places={m[1]: m.start() for m in block},
            )
        )
    return found


def messages_of(state: State) -> tuple[list[Message], str]:
    """Return the mail of an environment's first state, and its present time."""
    mail: Mapping[str, object] = state.get("mail") or {}
    inbox: Sequence[Mapping[str, str]] = mail.get("inbox") or []  # pyright: ignore[reportAssignmentType]  # as `Mail.start` makes it
    found = [
        Message(
            where=f"message {m['id']}",
            people=(f"{m['from_name']} <{m['from']}>" if m["from_name"] else m["from"],),
            date=m["date"],
            subject=m["subject"],
            body=m["body"],
        )
        for m in inbox
    ]
    return found, str(mail.get("now", ""))


def mail_faults(mails: Sequence[Message], now: str = "") -> Iterator[Fault]:
    """Yield what cannot be: empty mail, mail out of order, mail from the future, two names."""
    for mail in mails:
        if not re.sub(r"[=\-_*#>\s]|message \d+|end of the batch", "", mail.body):
            fix = "Write its text, or take the mail out"
            yield mail.fault(f"{mail.where} is empty", fix, "body")
    yield from _order(mails)
    present = _moment(now)
    for mail in mails:
        sent = _moment(mail.date)
        if present is not None and sent is not None and sent.replace(tzinfo=None) > present:
            what = f"{mail.where} is dated {mail.date}, after the present ({now})"
            fix = "Date it earlier, move `now`, or let it come by after_calls"
            yield mail.fault(what, fix, "date")
    yield from _two_names(mails)


def _order(mails: Sequence[Message]) -> Iterator[Fault]:
    """Compare neighbours whose dates are written alike and can be read without guessing."""
    for before, after in pairwise(mails):
        earlier, later = _moment(before.date), _moment(after.date)
        if earlier is None or later is None or (earlier.tzinfo is None) != (later.tzinfo is None):
            same_day = _CLOCK.sub("", before.date).strip(" ,") == _CLOCK.sub("", after.date).strip(
                " ,"
            )
            clocks = [_CLOCK.search(m.date) for m in (before, after)]
            if not same_day or None in clocks:
                continue
            earlier, later = (f"{int(c[1]):02d}:{c[2]}" for c in clocks if c is not None)
            out_of_order = earlier > later
        else:
            out_of_order = earlier > later
        if out_of_order:
            what = f"{after.where} ({after.date}) is older than the mail before it ({before.date})"
            yield after.fault(what, "Put them in order, or correct a date", "date")


def _two_names(mails: Sequence[Message]) -> Iterator[Fault]:
    names: dict[str, str] = {}
    for mail in mails:
        for person in mail.people:
            for said, address in _NAMED.findall(person):
                # "Name, what she is <address>": only the name must be the same everywhere.
                name = re.sub(r"\s*\(.*\)", "", said).strip(' ,"').partition(",")[0].strip()
                first = names.setdefault(address.lower(), name) if name else name
                if first != name:
                    what = f"{address} is called {first!r} and, in {mail.where}, {name!r}"
                    yield mail.fault(what, "Use one name, or one address each", "from_name")


@lru_cache(maxsize=4096)
def _moment(text: str) -> datetime | None:
    """Return what a date line says, with its zone where it has one; None without a year and a time of day."""
    day = next(_days_in(text), None)
    if day is None:
        return None
    clock = _OF_DAY.search(text, day.end)
    if clock is None or day.day is None:
        return None
    hour = int(clock["hour"])
    if clock["half"]:
        hour = hour % 12 + (12 if clock["half"].lower().startswith("p") else 0)
    if hour > 23:
        return None
    zone = _zone(clock["zone"])
    found = time(hour, int(clock["minute"]), int(clock["second"] or 0), tzinfo=zone)
    return datetime.combine(day.day, found)


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return UTC
    away = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-away if text[0] == "-" else away) if away < timedelta(hours=24) else None


class _Said(NamedTuple):
    """A date as it is written."""

    text: str
    day: date | None
    """None: there is no such day."""
    weekday: str | None
    at: int
    end: int


def _days_in(text: str) -> Iterator[_Said]:
    """Yield the dates of a text that name their year, by the way in which they are written."""
    if _YEAR.search(text) is None:
        return
    for match in _ISO.finditer(text):
        day = _day(int(match[1]), int(match[2]), int(match[3]))
        yield _Said(match[0], day, None, match.start(), match.end())
    for match in _DAY_BEFORE_ISO.finditer(text):
        day = _day(*map(int, match[2].split("-")))
        if day is not None:
            yield _Said(match[0], day, match[1], match.start(), match.end())
    written = [(match, match[3], match[2]) for match in _LONG.finditer(text)]
    written += [(match, match[2], match[3]) for match in _MONTH_FIRST.finditer(text)]
    for match, month, number in written:
        names = [m[:3] for m in _MONTHS]
        day = _day(int(match[4]), names.index(month[:3].lower()) + 1, int(number))
        yield _Said(match[0], day, match[1], match.start(), match.end())


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def date_faults(text: str) -> Iterator[Fault]:
    """Yield dates that do not exist, and weekdays that their dates do not fall on."""
    for said in _days_in(text):
        if said.day is None:
            yield Fault(f"{said.text} is no date", _CORRECT, said.at)
        elif said.weekday and _DAYS[said.day.weekday()][:3] != said.weekday[:3].lower():
            what = f"{said.text}: that day is a {_DAYS[said.day.weekday()].capitalize()}"
            yield Fault(what, _CORRECT, said.at)


def text_faults(text: str) -> Iterator[Fault]:
    """Yield what one rendered text gives away."""
    yield from strays(text)
    yield from mail_faults(messages_in(text, "the text"))
    yield from date_faults(text)
