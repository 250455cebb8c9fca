"""Makes hostile text safe to print: what a model wrote never reaches a terminal as it is. Pure.

Owns the removal of control codes. Not the escaping of rich markup: text that passes `clean` is
printed through `rich.text.Text`, which reads no markup.
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    # OSC, DCS and kin: with their payload only if they end, or an open one would hide the rest.
    r"(?:\x1b[\]P_^X]|[\x9d\x90\x9f\x9e\x98])(?:[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c))?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # any other escape
)
_BREAKS = re.compile("\r\n|[\r\u2028\u2029]")
_FORBIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks and overrides
    "\ud800-\udfff"  # lone surrogates cannot be encoded
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # interlinear annotation, invisible tag characters
    "]"
)


def clean(text: str) -> str:
    """Return the text without what a terminal would obey or reorder.

    Removes ANSI escape sequences with their parameters, all of C0 and C1 but newline and tab,
    bidirectional overrides and isolates, invisible tag characters and lone surrogates. A carriage
    return before a newline vanishes, any other line break becomes a newline, so that no line can
    overwrite what stands before it. Idempotent.
    """
    text = _BREAKS.sub("\n", text)
    # What remains after one pass may not form a new sequence: every introducer is a forbidden
    # character itself and leaves with the second substitution.
    return _FORBIDDEN.sub("", _SEQUENCES.sub("", text))


def one_line(text: str, limit: int = 200) -> str:
    """Return cleaned text on one line, at most `limit` characters, cut text ending in `…`."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
