"""Makes `local.gguf` and `local.chat_template` absolute, so that a sweep resumes from any folder.

What stands in a file is relative to that file, what stands on the command line to the working
directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner.config.source import COMMAND_LINE, Problems
from runner.config.yaml_tree import Node, name_of


def absolute_weights(tree: Node, folder: Path | None, problems: Problems) -> Node:
    """Return a tree in which the weights of its models are absolute.

    Args:
        tree: models and `model_defaults` of one file, or all of them after overrides.
        folder: of the file; None: only what overrides named is looked at.
        problems: takes files that are not there.
    """
    entries = dict(tree.entries)
    for key in ("models", "judges", "actors"):
        models = entries.get(key)
        if models is not None and models.items:
            moved = [_of_model(m, folder, f"{key}.{name_of(m)}", problems) for m in models.items]
            entries[key] = Node(moved, models.where)
    if "model_defaults" in entries:
        defaults = entries["model_defaults"]
        entries["model_defaults"] = _of_model(defaults, folder, "model_defaults", problems)
    return Node(entries, tree.where)


def _of_model(model: Node, folder: Path | None, key: str, problems: Problems) -> Node:
    local = model.entries.get("local")
    if local is None:
        return model
    found = dict(local.entries)
    for name in ("gguf", "chat_template"):
        file = found.get(name)
        if file is not None and isinstance(file.value, str):
            found[name] = _absolute(file, folder, f"{key}.local.{name}", problems)
    return Node({**model.entries, "local": Node(found, local.where)}, model.where)


def _absolute(file: Node, folder: Path | None, key: str, problems: Problems) -> Node:
    if folder is None and file.where.file != COMMAND_LINE:
        return file
    named = (folder or Path.cwd()) / Path(str(file.value)).expanduser()
    path = Path(os.path.abspath(named))  # noqa: PTH100  # links stay as they are
    if "\0" in str(file.value) or not path.is_file():
        origin = "working directory" if folder is None else "file that names them"
        text = f"no such file: {path}. Paths are relative to the {origin}."
        problems.add(file.where, key, text)
    return Node(str(path), file.where)
