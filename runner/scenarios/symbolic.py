"""The seed left symbolic: one rendering of a condition that stands for all of its seeds.

Templates are rendered once per condition with a `SymbolicSeed`. It prints as a marker between two
Unicode noncharacters that no template may hold, and refuses whatever would make a rendering
depend on its value in another way. The text with markers goes into the cell's digest;
`Pattern.fill` puts a real seed in, so that a job's prompt is a function of what the digest
covers and of the seed, by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NoReturn, cast

import orjson

from runner.core.facts import Scalar
from runner.core.identity import canonical_json, draw
from runner.scenarios.perturbations import Perturbations, dropped, permutation

MARK_OPEN = "\ufdd0"
MARK_CLOSE = "\ufdd1"


class SymbolicError(Exception):
    """A template used the seed in a way that its text cannot show."""


class SymbolicText:
    """A value that is known only for a given seed; it can be printed and nothing else."""

    __slots__ = ("_text", "_what")

    def __init__(self, what: str, text: str) -> None:
        """Take how messages call the value, and what it prints."""
        self._what = what
        self._text = text

    def __str__(self) -> str:
        return self._text

    def _refuse(self, *_: object) -> NoReturn:
        msg = (
            f"{self._what} can be printed but not computed with, compared or cut: the cell's "
            "identity would not show it. Print it alone, or let draw('name', [options]) choose"
        )
        raise SymbolicError(msg)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _refuse
    __neg__ = __pos__ = __abs__ = __int__ = __float__ = __index__ = __bool__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __hash__ = _refuse
    __len__ = __iter__ = __contains__ = __getitem__ = __call__ = __format__ = _refuse

    def __html__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text


def symbolic_seed() -> SymbolicText:
    """Return what `{{ seed }}` is while a condition is rendered."""
    return SymbolicText("seed", f"{MARK_OPEN}seed{MARK_CLOSE}")


def symbolic_draw(choice: object, options: object) -> SymbolicText:
    """Return what `{{ draw('name', [options]) }}` is while a condition is rendered.

    Raises:
        SymbolicError: the name is no text, or the options are no list of one or more scalars.
    """
    if not isinstance(choice, str) or not choice:
        msg = f"draw: the name of the choice must be a text, got {choice!r}"
        raise SymbolicError(msg)
    if isinstance(options, str) or not isinstance(options, Sequence) or not options:
        msg = f"draw({choice!r}, …): the options must be a list with one item or more"
        raise SymbolicError(msg)
    items = cast("Sequence[object]", options)
    if not all(isinstance(item, str | int | float | bool) for item in items):
        msg = f"draw({choice!r}, …): options are texts, numbers or booleans"
        raise SymbolicError(msg)
    if any(isinstance(item, str) and MARK_OPEN in item for item in items):
        msg = f"draw({choice!r}, …): an option may not itself depend on the seed"
        raise SymbolicError(msg)
    payload = orjson.dumps([choice, list(items)]).decode()
    return SymbolicText(f"draw({choice!r}, …)", f"{MARK_OPEN}draw{payload}{MARK_CLOSE}")


def symbolic_marks(given: Perturbations) -> dict[str, object]:
    """Return the functions by which texts mark what perturbations vary; plain where none does."""

    def item(group: str) -> object:
        return _mark("item", [group, given.orders[group]]) if group in given.orders else ""

    def end_items(group: str) -> object:
        return _mark("items_end", [group]) if group in given.orders else ""

    def line(name: str) -> object:
        return _mark("line", [name, *given.drops[name]]) if name in given.drops else ""

    def clock(time: str) -> object:
        _minutes(time)
        return time if given.shifts is None else _mark("clock", [time, *given.shifts])

    return {"item": item, "end_items": end_items, "line": line, "clock": clock}


def symbolic_variables(given: Perturbations) -> dict[str, object]:
    """Return the variables that perturbations set, known only for a given seed."""
    return {
        variable: symbolic_draw(name, list(values))
        for variable, (name, values) in given.variables.items()
    }


def _mark(kind: str, payload: object) -> SymbolicText:
    return SymbolicText(
        f"{kind}(…)", f"{MARK_OPEN}{kind}{orjson.dumps(payload).decode()}{MARK_CLOSE}"
    )


def _minutes(time: str) -> int:
    hours, colon, minutes = str(time).partition(":")
    if colon and hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60:
        return 60 * int(hours) + int(minutes)
    msg = f"clock({time!r}): write a time of day such as clock('15:52')"
    raise SymbolicError(msg)


@dataclass(frozen=True, slots=True)
class _Draw:
    choice: str
    options: Sequence[Scalar]


@dataclass(frozen=True, slots=True)
class _Item:
    """Begins an item of a group; without `choice`, ends the last one."""

    group: str
    choice: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    choice: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Clock:
    time: str
    choice: str
    shifts: Sequence[int]


_Piece = str | _Draw | _Item | _Line | _Clock | None


class Pattern:
    """A rendered text in which markers stand for what the seed decides."""

    __slots__ = ("_marked", "_pieces", "canonical", "hash", "text")

    def __init__(self, text: str) -> None:
        """Take a text rendered with symbolic values.

        Raises:
            SymbolicError: a filter cut or changed a marker.
            ValueError: the text holds a lone surrogate.
        """
        self.text = text
        self.canonical = canonical_json(text, "text")
        """The text, markers and all, as canonical JSON."""
        self.hash = sha256(self.canonical).digest()
        """SHA-256 of `canonical`."""
        self._marked = False
        self._pieces: tuple[_Piece, ...] | None = None
        if MARK_OPEN in text or MARK_CLOSE in text:
            self._pieces = tuple(_pieces(text))
            self._marked = any(isinstance(piece, _Item | _Line) for piece in self._pieces)

    @property
    def blank(self) -> bool:
        """Return whether the text is empty or white space."""
        return not self.text or self.text.isspace()

    @property
    def static(self) -> bool:
        """Return whether every seed gives the same text."""
        return self._pieces is None

    def fill(self, seed: int) -> str:
        """Return the text for a seed; a few microseconds."""
        if self._pieces is None:
            return self.text
        if self._marked:
            return _arranged(self._pieces, seed)
        return "".join([_fill(piece, seed) for piece in self._pieces])

    def draws(self) -> dict[str, Sequence[Scalar]]:
        """Return the choices that the text makes by `draw`, with their options."""
        return {p.choice: p.options for p in self._pieces or () if isinstance(p, _Draw)}

    def items(self) -> dict[str, int]:
        """Return how many items of each group the text holds."""
        found: dict[str, int] = {}
        for piece in self._pieces or ():
            if isinstance(piece, _Item) and piece.choice:
                found[piece.group] = found.get(piece.group, 0) + 1
        return found


def _fill(piece: _Piece, seed: int) -> str:
    if piece is None:
        return str(seed)
    if isinstance(piece, _Draw):
        return str(draw(piece.choice, seed, piece.options))
    if isinstance(piece, _Clock):
        moved = (_minutes(piece.time) + draw(piece.choice, seed, piece.shifts)) % (24 * 60)
        return f"{moved // 60:02d}:{moved % 60:02d}"
    return piece if isinstance(piece, str) else ""


def _arranged(pieces: Sequence[_Piece], seed: int) -> str:
    """Fill in, leave out the dropped line, and put items into their order."""
    out: list[str] = []
    items: list[list[str]] = []
    group: _Item | None = None
    dropping = False
    for piece in pieces:
        into = items[-1] if group is not None else out
        if isinstance(piece, _Item):
            if group is not None and not (piece.group == group.group and piece.choice):
                order = permutation(group.choice, seed, len(items))
                out += [text for i in order for text in items[i]]
                items, group = [], None
            if piece.choice:
                group = piece
                items.append([])
        elif isinstance(piece, _Line):
            dropping = dropped(piece.choice, seed, piece.lines) == piece.name
        else:
            text = _fill(piece, seed)
            if dropping and isinstance(piece, str):
                _, ended, text = text.partition("\n")
                dropping = not ended
            elif dropping:
                continue
            into.append(text)
    if group is not None:
        order = permutation(group.choice, seed, len(items))
        out += [text for i in order for text in items[i]]
    return "".join(out)


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    head, *rest = text.split(MARK_OPEN)
    if MARK_CLOSE in head:
        raise SymbolicError(_BROKEN)
    pieces.append(head)
    for part in rest:
        inner, closed, tail = part.partition(MARK_CLOSE)
        if not closed or MARK_CLOSE in tail:
            raise SymbolicError(_BROKEN)
        pieces += (_marker(inner), tail)
    return [piece for piece in pieces if piece != ""]


_BROKEN = (
    "a filter cut or changed the text of seed or draw(). Apply filters to the options instead, "
    "or print the value as it is"
)


_KINDS = ("draw", "items_end", "item", "line", "clock")


def _marker(inner: str) -> _Piece:
    if inner == "seed":
        return None
    kind = next((k for k in _KINDS if inner.startswith(k)), "")
    try:
        payload = orjson.loads(inner.removeprefix(kind))
        match kind:
            case "draw":
                return _Draw(*payload)
            case "item" | "items_end":
                return _Item(*payload)
            case "line":
                return _Line(*payload)
            case "clock":
                return _Clock(*payload)
            case _:
                raise SymbolicError(_BROKEN)
    except (ValueError, TypeError):
        raise SymbolicError(_BROKEN) from None
