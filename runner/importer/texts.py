"""Reads a folder of text files: system and user prompts, by the names of files and folders.

    set/arm-1/system_prompt.txt, user_prompt.txt      one prompt a folder
    set/tone.system.txt, tone.user.txt                one prompt a stem
    set/01-user.txt, 02-assistant.txt, 03-user.txt    one conversation a folder
    set/system.txt, a.txt, b.txt                      prompts under the system prompt of their folder, or
                                                      of the nearest folder above that has one

The line break at the end of a file is no part of its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.core.errors import ConfigError
from runner.importer.dialects import read_conversation
from runner.importer.draft import Draft, Fault, Fields, Unusable

SUFFIXES = (".txt", ".md", ".prompt", ".text")
_ROLE = re.compile(
    r"(?:(?P<stem>.*?)[._ -])?(?P<role>system|user|assistant)(?:[._ -]?(?:prompt|message))?",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Folder:
    path: Path
    by_stem: dict[str, dict[str, Path]] = field(default_factory=dict[str, dict[str, Path]])
    """Stem ("" for the folder itself) to role to file."""
    turns: list[tuple[int, str, Path]] = field(default_factory=list[tuple[int, str, Path]])
    """Numbered messages."""
    others: list[Path] = field(default_factory=list[Path])


def read_texts(root: Path, fields: Fields) -> Iterator[Draft | Fault]:
    """Yield the drafts of a folder and of the folders below it.

    Args:
        root: the folder.
        fields: `user` names the files (without suffix) that are joined to the user's text.

    Raises:
        ConfigError: a folder cannot be read.
    """
    try:
        folders = [_sorted_out(path) for path in (root, *sorted(_folders(root)))]
    except OSError as error:
        msg = f"{root}: cannot be read ({error.strerror or error})."
        raise ConfigError(msg) from error
    systems: dict[Path, Path] = {}
    for folder in folders:
        own = folder.by_stem.get("", {}).get("system")
        if own is not None:
            systems[folder.path] = own
        elif folder.path.parent in systems:
            systems[folder.path] = systems[folder.path.parent]
    used: set[Path] = set()
    for folder in folders:
        yield from _drafts(folder, root, systems.get(folder.path), fields, used)
    for file in (file for folder in folders for file in _named(folder) if file not in used):
        yield Fault(where=str(file), what="stands beside no user's text: no prompt is made of it")


def _folders(root: Path) -> Iterator[Path]:
    return (
        path
        for path in root.rglob("*")
        if path.is_dir() and not any(p.startswith(".") for p in path.relative_to(root).parts)
    )


def _sorted_out(path: Path) -> _Folder:
    folder = _Folder(path)
    for file in sorted(path.iterdir()):
        if file.is_dir() or file.name.startswith("."):
            continue
        match = _ROLE.fullmatch(file.stem)
        if file.suffix.lower() not in SUFFIXES or match is None:
            folder.others.append(file)
            continue
        stem, role = match["stem"] or "", match["role"].lower()
        if stem.isdigit():
            folder.turns.append((int(stem), role, file))
        elif role in folder.by_stem.setdefault(stem, {}):
            folder.others.append(file)
        else:
            folder.by_stem[stem][role] = file
    return folder


def _drafts(
    folder: _Folder, root: Path, system: Path | None, fields: Fields, used: set[Path]
) -> Iterator[Draft | Fault]:
    name = "-".join(folder.path.relative_to(root).parts) or root.resolve().name
    whole = [stem for stem, roles in folder.by_stem.items() if "user" in roles]
    joined = [f for wanted in fields.user for f in _texts(folder) if f.stem == wanted]
    if folder.turns:
        said = [(role, path) for _, role, path in sorted(folder.turns)]
        yield _draft(folder.turns[0][2].parent, name, said, system, used)
    elif joined:
        yield _draft(folder.path, name, [("user", path) for path in joined], system, used)
    for stem in [] if joined else whole:
        roles = folder.by_stem[stem]
        said = [(r, roles[r]) for r in ("system", "user", "assistant") if r in roles]
        above = None if "system" in roles else system
        title = f"{name}-{stem}" if stem and name else stem or name
        yield _draft(roles["user"], title, said, above, used)
    prompts = not (whole or folder.turns or joined)
    for file in folder.others:
        if file in joined:
            continue
        if prompts and file.suffix.lower() in SUFFIXES and file.stem.lower() != "readme":
            inner = folder.path == root
            label = file.stem if inner else f"{name}-{file.stem}"
            yield _draft(file, label, [("user", file)], system, used)
        else:
            what = "neither a system nor a user prompt by its name (system.txt, user.txt, NAME.user.txt)"
            if file.suffix.lower() in SUFFIXES and not prompts:
                what += "; --user-field A,B joins files to the user's text"
            yield Fault(where=str(file), what=what)


def _named(folder: _Folder) -> list[Path]:
    return [path for roles in folder.by_stem.values() for path in roles.values()]


def _texts(folder: _Folder) -> list[Path]:
    return [*_named(folder), *(f for f in folder.others if f.suffix.lower() in SUFFIXES)]


def _draft(
    where: Path,
    name: str,
    said: Sequence[tuple[str, Path]],
    system: Path | None,
    used: set[Path],
) -> Draft | Fault:
    above = [("system", system)] if system is not None else []
    messages: list[dict[str, str]] = []
    for role, path in (*above, *said):
        used.add(path)
        try:
            text = path.read_text(encoding="utf-8-sig").rstrip("\n")
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            return Fault(where=f"{path}:{line}", what="is not UTF-8 text")
        except OSError as error:
            return Fault(where=str(path), what=f"cannot be read ({error.strerror or error})")
        if not text.strip():
            if role == "system":
                continue
            return Fault(where=f"{path}:1", what="is empty")
        messages.append({"role": role, "content": text})
    try:
        return Draft(where=f"{where}:1", name=name, said=read_conversation(_joined(messages)))
    except Unusable as why:
        return Fault(where=str(where), what=str(why))


def _joined(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Join neighbours of one role to one text."""
    out: list[dict[str, str]] = []
    for message in messages:
        if out and out[-1]["role"] == message["role"]:
            out[-1] = {**message, "content": f"{out[-1]['content']}\n\n{message['content']}"}
        else:
            out.append(message)
    return out
