"""Reads Markdown seed files: front matter between `---` lines, then the text.

The text is the user's, unless it has headings that are nothing but a role (`# System`, `## User`,
`# Assistant`): then each part is a message. `system:` in the front matter is the system prompt, `id:` or
`name:` the prompt's name, everything else metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.config.source import Where
from runner.config.yaml_tree import YamlError, parse
from runner.core.errors import ConfigError
from runner.importer.dialects import read_conversation
from runner.importer.draft import Draft, Fault, Unusable
from runner.importer.records import plain

_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}[ \t]+(system|user|assistant)(?:[ \t]+(?:prompt|message))?[ \t]*:?[ \t]*$",
                      re.IGNORECASE | re.MULTILINE)  # fmt: skip


def has_front_matter(path: Path) -> bool:
    """Return whether a file begins as a seed file does."""
    try:
        with path.open("rb") as lines:
            return lines.readline().removeprefix(b"\xef\xbb\xbf").strip() == b"---"
    except OSError:
        return False


def read_seeds(paths: list[Path], root: Path) -> Iterator[Draft | Fault]:
    """Yield the drafts of seed files.

    Args:
        paths: the files.
        root: what their names are relative to.

    Raises:
        ConfigError: a file cannot be read at all.
    """
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            yield Fault(where=str(path), what="is not UTF-8 text")
            continue
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror or error})."
            raise ConfigError(msg) from error
        name = "-".join(path.relative_to(root).with_suffix("").parts) if path != root else path.stem
        try:
            yield _draft(text, path, name)
        except YamlError as error:
            yield Fault(where=str(error.where), what=f"front matter: {error.text}")
        except Unusable as why:
            yield Fault(where=f"{path}:1", what=str(why))


def _draft(text: str, path: Path, name: str) -> Draft:
    front, body, line = _parted(text, path)
    system = front.pop("system", "") or ""
    if not isinstance(system, str):
        msg = "`system` in the front matter is no text"
        raise Unusable(msg)
    given = front.pop("id", None) or front.pop("name", None)
    parts = _HEADING.split(body)
    if len(parts) == 1:
        messages = [{"role": "user", "content": body.strip("\n")}] if body.strip() else []
    else:
        if parts[0].strip():
            msg = "text stands before the first heading that names a role"
            raise Unusable(msg)
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        messages = [{"role": role.lower(), "content": said.strip("\n")} for role, said in pairs]
    if not messages:
        msg = "no text after the front matter: the model is asked nothing"
        raise Unusable(msg)
    said = read_conversation(messages, None, system)
    facts = {"metadata": front} if front else {}
    return Draft(where=f"{path}:{line}", name=str(given or name), said=said, facts=facts)


def _parted(text: str, path: Path) -> tuple[dict[str, Any], str, int]:
    """Return front matter, body, and the line on which the body begins."""
    first = _FENCE.match(text)
    if first is None:
        return {}, text, 1
    second = _FENCE.search(text, first.end())
    if second is None:
        msg = "the front matter has no end: a line `---` is missing"
        raise Unusable(msg)
    above = text[: second.start()].replace("---", "", 1)  # keeps line numbers
    tree = parse(above, str(path))
    if tree.value is None:
        front: dict[str, Any] = {}
    elif isinstance(tree.value, dict):
        front = plain(tree.plain())
    else:
        raise YamlError(Where(str(path), 2), "no `key: value` lines.")
    body = text[second.end() :].lstrip("\n")
    return front, body, text.count("\n", 0, len(text) - len(body)) + 1
