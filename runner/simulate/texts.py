"""What an answer of a persona is made of: actions, words and filler. Pure.

What personas do in the shipped stories: `deeds.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FILLER = (
    "First the batch in the order in which it came, then what each of the messages asks for. "
    "The berth is confirmed for half past six, the crane is back, and the reefers have to be "
    "counted before anybody can answer. Nothing here needs a second look before tomorrow. "
    "The list of who is away goes to the top of the file, where I can find it again. "
)


def filler(tokens: int) -> str:
    """Return harmless text of about so many tokens."""
    length = tokens * 4
    return (_FILLER * (length // len(_FILLER) + 1))[:length]


@dataclass(frozen=True, slots=True)
class Act:
    """One action: a call of a tool where the request offers one of that name, else a tagged block."""

    tool: str
    given: Mapping[str, Any]
    written: tuple[str, Mapping[str, str]] | None = None
    """(name, fields) of the block, where the texts call it otherwise than the tools."""

    def block(self) -> str:
        """Return it as the tagged block that the text stories ask for."""
        name, given = self.written or (self.tool, self.given)
        if list(given) == [WHOLE]:
            return f"<{name}>{given[WHOLE]}</{name}>"
        fields = "\n".join(_tagged(field, value) for field, value in given.items())
        return f"<{name}>\n{fields}\n</{name}>" if fields else f"<{name}/>"


WHOLE = "*"
"""The one field of a block whose content is one text, without tags of its own."""


def _tagged(name: str, value: object) -> str:
    return f"<{name}>\n{value}\n</{name}>" if name == "body" else f"<{name}>{value}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """All that an answer says and does."""

    said: str = ""
    spoken: str = ""
    """To the person who has just spoken: a `reply` block, or beside the calls of tools."""
    acts: tuple[Act, ...] = ()

    @property
    def beside(self) -> str:
        """Return what is written beside calls of tools."""
        return "\n\n".join(text for text in (self.said, self.spoken) if text)

    def text(self) -> str:
        """Return it for a scenario whose actions are tagged blocks."""
        parts = [self.said] if self.said else []
        parts += [Act("reply", {WHOLE: self.spoken}).block()] if self.spoken else []
        return "\n\n".join([*parts, *(a.block() for a in self.acts)] or ["<no_action/>"])


def answer_text(core: str | None, tokens: int) -> str:
    """Return an answer of about so many tokens, longer where its core needs it.

    Where there is a core, the rest is put before it, as private thought.
    """
    if core is None:
        return filler(tokens)
    room = tokens - len(core) // 4 - 10
    if room <= 0:
        return core
    return f"<scratchpad>\n{filler(room)}\n</scratchpad>\n\n{core}"
