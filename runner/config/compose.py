"""One tree out of many files: `extends`, scenarios in files of their own, defaults, overrides.

Order: each file's scenario files are read in first, then files merge along `extends` (the child
wins), then overrides of the command line apply, then `model_defaults` goes under every model.
A scenario's file may itself say `extends`: one file or several that it is made from, relative to it.
Mappings merge key by key, the lists `scenarios` and `models` merge by name, any other list is
replaced. A scenario read from a file replaces one of the same name. `output` belongs to the name:
a child that names itself anew does not write into its parent's directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from runner.config.narrowing import keep_perturbations, narrow_axes, narrow_filters
from runner.config.overrides import apply_override
from runner.config.schema import NAMED_LISTS
from runner.config.source import Problems, Where
from runner.config.weights import absolute_weights
from runner.config.yaml_tree import Node, YamlError, name_of, parse


def compose(path: Path, overrides: Sequence[str], problems: Problems) -> Node:
    """Return the whole configuration as one mapping, without `extends` and `model_defaults`."""
    tree = _Files(problems).read(path, shown=str(path))
    for text in overrides:
        tree = apply_override(tree, text, problems)
    return absolute_weights(tree, None, problems)


def split_defaults(tree: Node) -> tuple[Node, Node | None]:
    """Return the tree without `model_defaults`, and the defaults."""
    entries = dict(tree.entries)
    defaults = entries.pop("model_defaults", None)
    return Node(entries, tree.where), defaults


def under_models(tree: Node, defaults: Node) -> Node:
    """Put checked defaults under every model."""
    entries = dict(tree.entries)
    models = entries.get("models")
    if models is not None:
        merged = [merge(defaults, m) if isinstance(m.value, dict) else m for m in models.items]
        entries["models"] = Node(merged, models.where) if models.items else models
    return Node(entries, tree.where)


def merge(base: Node, child: Node) -> Node:
    """Merge mappings key by key, everything else the child replaces."""
    if not (isinstance(base.value, dict) and isinstance(child.value, dict)):
        return child
    entries = dict(base.value)
    for key, value in child.value.items():
        entries[key] = merge(entries[key], value) if key in entries else value
    return Node(entries, child.where)


def read_scenario(path: Path, problems: Problems) -> Node:
    """Return a scenario's file as one mapping, with what it extends merged in."""
    return _Files(problems).scenario_file(path, Where(str(path)), "")


def read_text(path: Path, where: Where, key: str, problems: Problems) -> str | None:
    """Read a file, or note why that cannot be."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = f"no such file: {path}. Paths are relative to the file that names them."
        text = text if key else "no such file. Give the path of a configuration."
    except UnicodeDecodeError:
        text = f"{path} is not UTF-8 text." if key else "is not UTF-8 text."
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}."
        text = (
            text if key else f"cannot be read ({error.strerror}). Give the path of a configuration."
        )
    problems.add(where, key, text)
    return None


def _names_file(node: Node) -> bool:
    return isinstance(node.value, str) and "\0" not in node.value


@dataclass(slots=True)
class _Files:
    problems: Problems
    chain: list[Path] = field(default_factory=list[Path])

    def read(self, path: Path, *, shown: str, named_at: Where | None = None) -> Node:
        """Read a configuration file and everything that it names."""
        before = len(self.problems.lines)
        tree = self._parse(path, shown, named_at or Where(shown), "extends" if named_at else "")
        if len(self.problems.lines) > before:
            self.problems.incomplete = True
        entries = dict(tree.entries)
        scenarios = entries.get("scenarios")
        if scenarios is not None:
            read_in = [
                self._scenario(item, i, path.parent) for i, item in enumerate(scenarios.items)
            ]
            if read_in:
                entries["scenarios"] = Node([s for s in read_in if s], scenarios.where)
        graders = entries.get("graders")
        if graders is not None and graders.items:
            loaded = [self._grader(item, i, path.parent) for i, item in enumerate(graders.items)]
            entries["graders"] = Node([g for g in loaded if g], graders.where)
        for key in NAMED_LISTS:
            self._refuse_duplicates(key, entries.get(key))
        tree = absolute_weights(Node(entries, tree.where), path.parent, self.problems)
        extends = entries.pop("extends", None)
        return tree if extends is None else self._extend(Node(entries, tree.where), extends, path)

    def _parse(self, path: Path, shown: str, where: Where, key: str) -> Node:
        text = read_text(path, where, key, self.problems)
        tree = Node({}, Where(shown))
        if text is None:
            return tree
        try:
            tree = parse(text, shown)
        except YamlError as error:
            self.problems.add(error.where, "", error.text)
            return Node({}, Where(shown))
        if not isinstance(tree.value, dict):
            self.problems.add(tree.where, "", "no mapping. A configuration is `key: value` lines.")
            return Node({}, Where(shown))
        return tree

    def _extend(self, tree: Node, extends: Node, path: Path) -> Node:
        parents = extends.items or [extends]
        self.chain.append(path.resolve())
        base = Node({}, tree.where)
        for parent in parents:
            if not _names_file(parent):
                self.problems.add(extends.where, "extends", "names a file, or a list of files.")
                continue
            target = path.parent / str(parent.value)
            if target.resolve() in self.chain:
                loop = " → ".join(p.name for p in (*self.chain, target))
                text = f"goes in a circle: {loop}. Take one of them out."
                self.problems.add(parent.where, "extends", text)
                continue
            base = _merge_files(base, self.read(target, shown=str(target), named_at=parent.where))
        self.chain.pop()
        return _merge_files(base, tree)

    def _scenario(self, item: Node, index: int, folder: Path) -> Node | None:
        path = item.entries.get("path")
        if path is None:
            return _findable(item, folder)
        key = f"scenarios[{index}]"
        for other in item.entries:
            if other not in ("path", "axes", "perturbations"):
                text = (
                    "not allowed beside `path`: only `axes` and `perturbations`, which narrow. "
                    "Edit the file instead."
                )
                self.problems.add(item.entries[other].where, f"{key}.{other}", text)
        if not _names_file(path):
            self.problems.add(path.where, f"{key}.path", "names a file.")
            return None
        target = folder / str(path.value)
        before = len(self.problems.lines)
        loaded = self.scenario_file(target, path.where, f"{key}.path")
        if len(self.problems.lines) > before:
            return None  # already said why; nothing of it is left to check
        if "path" in loaded.entries:
            text = "a scenario file may not point to another file."
            self.problems.add(loaded.entries["path"].where, f"{key}.path", text)
        narrowed = item.entries.get("axes")
        entries = {k: v for k, v in loaded.entries.items() if k != "path"}
        if narrowed is not None and "axes" in entries:
            whole = entries["axes"]
            entries["axes"] = narrow_axes(
                whole, narrowed, key, self.problems, has_prompts="prompts" in entries
            )
            entries |= narrow_filters(entries, whole, entries["axes"])
        elif narrowed is not None and ("python" in entries or "prompts" in entries):
            entries["axes"] = narrowed
        kept = item.entries.get("perturbations")
        if kept is not None:
            entries |= keep_perturbations(entries, kept, key, self.problems)
        return _findable(Node(entries, loaded.where), target.parent)

    def scenario_file(self, path: Path, where: Where, key: str) -> Node:
        """Read a scenario's file with all that it extends; perturbations set to null are gone."""
        tree = self._scenario_file(path, where, key)
        varied = tree.entries.get("perturbations")
        if varied is None:
            return tree
        kept = {name: one for name, one in varied.entries.items() if one.value is not None}
        return Node({**tree.entries, "perturbations": Node(kept, varied.where)}, tree.where)

    def _scenario_file(self, path: Path, where: Where, key: str) -> Node:
        """Read a scenario's file and merge it onto those that it extends, in their order."""
        tree = _findable(self._parse(path, str(path), where, key), path.parent)
        extends = tree.entries.get("extends")
        if extends is None:
            return tree
        self.chain.append(path.resolve())
        base = Node({}, tree.where)
        for parent in extends.items or [extends]:
            target = Path(normpath(path.parent / str(parent.value)))
            if not _names_file(parent):
                self.problems.add(extends.where, "extends", "names a file, or a list of files.")
            elif target.resolve() in self.chain:
                loop = " → ".join(p.name for p in (*self.chain, target))
                text = f"goes in a circle: {loop}. Take one of them out."
                self.problems.add(parent.where, "extends", text)
            else:
                base = merge(base, self._scenario_file(target, parent.where, "extends"))
        self.chain.pop()
        own = {k: v for k, v in tree.entries.items() if k != "extends"}
        return merge(base, Node(own, tree.where))

    def _grader(self, item: Node, index: int, folder: Path) -> Node | None:
        """Return a grader, read from its file where it names one; its `use:` made findable."""
        path = item.entries.get("path")
        if path is None:
            return _absolute(item, "use", folder)
        key = f"graders[{index}]"
        for other in item.entries:
            if other != "path":
                text = "not allowed beside `path`. Edit the file instead."
                self.problems.add(item.entries[other].where, f"{key}.{other}", text)
        if not _names_file(path):
            self.problems.add(path.where, f"{key}.path", "names a file.")
            return None
        target = folder / str(path.value)
        before = len(self.problems.lines)
        loaded = self._parse(target, str(target), path.where, f"{key}.path")
        if len(self.problems.lines) > before:
            return None
        if "path" in loaded.entries:
            text = "a grader's file may not point to another file."
            self.problems.add(loaded.entries["path"].where, f"{key}.path", text)
        return _absolute(loaded, "use", target.parent)

    def _refuse_duplicates(self, key: str, named: Node | None) -> None:
        first: dict[str, Where] = {}
        for item in named.items if named is not None else ():
            name = name_of(item)
            if name is None:
                continue
            if name in first:
                text = f"a second one of this name (the first: {first[name]}). Rename one."
                self.problems.add(item.where, f"{key}.{name}", text)
            first.setdefault(name, item.where)


def _findable(scenario: Node, folder: Path) -> Node:
    """Make the files that a scenario names independent of the working directory."""
    prompts = scenario.entries.get("prompts")
    if prompts is not None and _names_file(prompts):
        whole = Node(str((folder / str(prompts.value)).resolve()), prompts.where)
        scenario = Node({**scenario.entries, "prompts": whole}, scenario.where)
    return _absolute(scenario, "python", folder)


def _absolute(item: Node, key: str, folder: Path) -> Node:
    """Make the file in `use: file.py:function`, or `python:`, independent of the working directory."""
    use = item.entries.get(key)
    if use is None or not isinstance(use.value, str) or ".py:" not in use.value:
        return item
    file, _, name = use.value.rpartition(":")
    whole = f"{(folder / file).resolve()}:{name}"
    return Node({**item.entries, key: Node(whole, use.where)}, item.where)


def _merge_files(base: Node, child: Node) -> Node:
    inherited = dict(base.entries)
    if "name" in child.entries:
        inherited.pop("output", None)
    merged = merge(Node(inherited, base.where), child)
    entries = dict(merged.entries)
    for key in NAMED_LISTS:
        if key in inherited and key in child.entries:
            entries[key] = _merge_named(inherited[key], child.entries[key])
    return Node(entries, child.where)


def _merge_named(base: Node, child: Node) -> Node:
    if not (isinstance(base.value, list) and isinstance(child.value, list)):
        return child
    items = list(base.items)
    places = {name_of(item): i for i, item in enumerate(items)}
    for item in child.items:
        name = name_of(item)
        if name is None or name not in places:
            items.append(item)
        elif item.where.file == child.where.file:
            items[places[name]] = merge(items[places[name]], item)
        else:
            items[places[name]] = item  # read from a scenario file: whole in itself
    return Node(items, child.where)
