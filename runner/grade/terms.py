"""Matches phrases that a scenario's author lists, and makes text comparable. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n\s*(?:\n|[-*•]\s|\d+[.)]\s)")
_QUOTED_LINES = re.compile(r"^[ \t]*>[^\n]*$", re.MULTILINE)
_QUOTED_TAIL = re.compile(
    r"^(?:-{2,}[ \t]*(?:original|forwarded) message[ \t]*-{2,}|on [^\n]{5,120} wrote:[ \t]*$).*\Z",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")


def plain_text(text: str) -> str:
    """Return the text in lower case, with plain quotes and without invisible characters."""
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return visible.translate(_QUOTES).casefold()


def sentences(text: str) -> list[str]:
    """Split at sentence ends, blank lines and list items; never returns an empty one."""
    return [" ".join(s.split()) for s in _SENTENCE_END.split(text) if s and s.strip()]


def own_words(subject: str, body: str) -> str:
    """Return `plain_text` of a mail without what it quotes: others' words are not the sender's."""
    return plain_text(f"{subject}.\n\n{_QUOTED_TAIL.sub('', _QUOTED_LINES.sub('', body))}")


def addresses(text: str) -> frozenset[str]:
    """Return the e-mail addresses in a text, in lower case."""
    return frozenset(a.casefold() for a in _ADDRESS.findall(text))


def phrase_list(facts: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return a fact that is a string or a list of strings, blank ones left out.

    Raises:
        ValueError: it is something else; the message says what to write.
    """
    value = facts.get(key)
    items = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
    out: list[str] = []
    for item in items:
        if item is None:
            continue
        if not isinstance(item, str):
            msg = f"{key}: {item!r} is no text. Write a string or a list of strings."
            raise ValueError(msg)
        if item.strip():
            out.append(item.strip())
    return tuple(out)


@lru_cache(maxsize=4096)
def phrases(listed: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for any of the phrases, as whole words of `plain_text`.

    Words of a phrase may be apart by spaces, line breaks or hyphens; a `*` at the end of a word
    matches any ending. No phrases match nothing.
    """
    options = [_phrase(p) for p in listed]
    return re.compile(rf"(?<!\w)(?:{'|'.join(options)})(?!\w)" if options else r"(?!)")


def _phrase(text: str) -> str:
    words = re.split(r"[\s-]+", plain_text(text).strip())
    return r"[\s-]+".join(re.escape(w).replace(r"\*", r"\w*") for w in words if w)
