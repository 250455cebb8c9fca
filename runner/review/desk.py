"""One person's session over a sample: what is shown, what was said, and that it is durable.

A label is in the store before `label` returns; a store that refuses leaves everything as it was. The
page knows a record by a ticket of this session alone, never by its key. Labels of other sessions are
read again whenever a new record is shown.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from runner.core.seams import Clock, KeyMissingError, Store
from runner.record.labels import (
    LABELS,
    Draw,
    Drawn,
    Label,
    decode_labels,
    encode_labels,
    labels_key,
)
from runner.review.agenda import (
    Opinions,
    Progress,
    agenda,
    look_of,
    opinions,
    own_labels,
    progress,
)

Show = Callable[[str], Awaitable[tuple[list[dict[str, object]], bool]]]
"""Job key to the blocks of its page, and whether a text was cut."""

MOST_NOTE = 2000
"""Characters of a note."""


class StaleTicketError(Exception):
    """The page answers for a record that is not shown any more."""


class ChoiceError(Exception):
    """The page sent what is no choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the page sends of a record."""

    ticket: str
    choice: int | None
    """Position among the choices; None: cannot tell."""
    note: str = ""
    prompt_opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The record on the page."""

    ticket: str
    blocks: list[dict[str, object]]
    cut: bool
    before: Label | None
    """The label that is being corrected, where one is."""


@dataclass(slots=True, kw_only=True)
class _Open:
    ticket: str
    item: Drawn
    look: int
    since: float
    cut: bool = False
    before: Label | None = None


async def read_labels(store: Store, *, without: str = "") -> list[Label]:
    """Return the labels of all sessions but one.

    Raises:
        RecordError: a file is damaged.
        StorageError: the store cannot be read.
    """
    out: list[Label] = []
    for key in await store.list(LABELS):
        if key == without or not key.endswith(".parquet"):
            continue
        try:
            out += decode_labels(await store.get(key), key)
        except KeyMissingError:
            continue
    return out


class Desk:
    """One session.

    Args:
        store: the sweep directory.
        draw: the sample.
        labeller: who labels.
        clock: dates labels.
        show: renders a record.
    """

    def __init__(self, store: Store, draw: Draw, labeller: str, clock: Clock, show: Show) -> None:
        self._store, self.draw, self.labeller = store, draw, labeller
        self._clock, self._show = clock, show
        word = re.sub(r"[^a-z0-9]+", "-", labeller.lower()).strip("-")[:40] or "somebody"
        stamp = datetime.fromtimestamp(clock.wall(), UTC).strftime("%Y%m%dt%H%M%S")
        self.session = f"{word}-{stamp}-{secrets.token_hex(3)}"
        self._own: list[Label] = []
        self._others: list[Label] = []
        self._skipped: list[str] = []
        self._open: _Open | None = None
        self._answered: dict[str, Label] = {}
        self._items: Mapping[str, Drawn] = {i.job_key: i for i in draw.items}
        self._one_at_a_time = asyncio.Lock()

    @property
    def given(self) -> int:
        """Labels given in this session, corrections included."""
        return len(self._own)

    def known(self) -> Opinions:
        """Return the labels that count now."""
        return opinions([*self._others, *self._own], self.draw.grader)

    def progress(self) -> Progress:
        """Return how far the sample is."""
        return progress(self.draw, self.known(), self.labeller)

    async def refresh(self) -> None:
        """Read what other sessions have labelled.

        Raises:
            RecordError: a file is damaged.
            StorageError: the store cannot be read.
        """
        self._others = await read_labels(self._store, without=labels_key(self.session))

    async def shown(self) -> Shown | None:
        """Return the record on the page, the next one where none is open; None: nothing is left.

        Raises:
            RecordError: a record or a file of labels cannot be read.
            StorageError: the store cannot be read.
        """
        async with self._one_at_a_time:
            if self._open is None:
                await self.refresh()
                known = self.known()
                items = agenda(self.draw, known, self.labeller, self._skipped)
                if not items:
                    return None
                look = look_of(known, items[0].job_key, self.labeller)
                self._open = self._opened(items[0], look)
            now = self._open
            blocks, now.cut = await self._show(now.item.job_key)
            return Shown(ticket=now.ticket, blocks=blocks, cut=now.cut, before=now.before)

    def _opened(self, item: Drawn, look: int, before: Label | None = None) -> _Open:
        return _Open(
            ticket=secrets.token_urlsafe(8), item=item, look=look,
            since=self._clock.monotonic(), before=before,
        )  # fmt: skip

    async def label(self, said: Said) -> None:
        """Record a label; durable when this returns. Saying the same again changes nothing.

        Raises:
            StaleTicketError: another record is shown meanwhile.
            ChoiceError: no such choice.
            StorageError: the store refuses; nothing is recorded.
        """
        async with self._one_at_a_time:
            if said.ticket in self._answered:
                return  # the page asked twice: the answer to the first was lost
            now = self._matching(said.ticket)
            if said.choice is not None and not 0 <= said.choice < len(self.draw.choices):
                msg = f"there is no choice {said.choice}"
                raise ChoiceError(msg)
            chosen = None if said.choice is None else self.draw.choices[said.choice]
            at = datetime.fromtimestamp(self._clock.wall(), UTC)
            label = Label(
                job_key=now.item.job_key,
                draw=self.draw.number,
                grader=self.draw.grader,
                labeller=self.labeller,
                session=self.session,
                look=now.look,
                labelled_at=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                outcome=chosen.outcome if chosen else None,
                harmful=chosen.harmful if chosen else None,
                note=said.note[:MOST_NOTE],
                seconds=round(self._clock.monotonic() - now.since, 1),
                prompt_opened=said.prompt_opened,
                cut=now.cut,
                selection_probability=now.item.selection_probability,
            )
            rows = [*self._own, label]
            await self._store.put(labels_key(self.session), encode_labels(rows))
            self._own, self._open = rows, None
            self._answered[said.ticket] = label

    async def skip(self, ticket: str) -> None:
        """Put a record off until everything else is done.

        Raises:
            StaleTicketError: another record is shown meanwhile.
        """
        async with self._one_at_a_time:
            key = self._matching(ticket).item.job_key
            self._skipped = [*(k for k in self._skipped if k != key), key]
            self._open = None

    async def back(self) -> bool:
        """Open one's own label before the present record again, to correct it; False: there is none."""
        async with self._one_at_a_time:
            mine = own_labels(self.known(), self.draw, self.labeller)
            before = self._open.before if self._open else None
            if before is not None:
                mine = [m for m in mine if m.labelled_at < before.labelled_at]
            if not mine:
                return False
            last = mine[-1]
            item = replace(self._items[last.job_key])
            self._open = self._opened(item, last.look, last)
            return True

    async def forward(self) -> None:
        """Leave a correction as it was, and go on."""
        async with self._one_at_a_time:
            if self._open is not None and self._open.before is not None:
                self._open = None

    def _matching(self, ticket: str) -> _Open:
        if self._open is None or self._open.ticket != ticket:
            raise StaleTicketError
        return self._open
