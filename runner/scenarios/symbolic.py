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


@dataclass(frozen=True, slots=True)
class _Draw:
    choice: str
    options: Sequence[Scalar]


class Pattern:
    """A rendered text in which markers stand for what the seed decides."""

    __slots__ = ("_pieces", "canonical", "hash", "text")

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
        self._pieces: tuple[str | _Draw | None, ...] | None = None
        if MARK_OPEN in text or MARK_CLOSE in text:
            self._pieces = tuple(_pieces(text))

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
        return "".join([_fill(piece, seed) for piece in self._pieces])


def _fill(piece: str | _Draw | None, seed: int) -> str:
    if piece is None:
        return str(seed)
    if isinstance(piece, _Draw):
        return str(draw(piece.choice, seed, piece.options))
    return piece


def _pieces(text: str) -> list[str | _Draw | None]:
    pieces: list[str | _Draw | None] = []
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


def _marker(inner: str) -> _Draw | None:
    if inner == "seed":
        return None
    try:
        choice, options = orjson.loads(inner.removeprefix("draw"))
    except (ValueError, TypeError):
        raise SymbolicError(_BROKEN) from None
    return _Draw(choice, options)
