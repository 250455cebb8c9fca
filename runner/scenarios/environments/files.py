"""A file system and the ways out of its machine, all of it made up. Pure.

Files are entries of the scenario, with a stated size and, for texts, their content; nothing of the
real file system is read, written or named. A transfer takes `seconds per GB` of nothing: it is a
line in the state. Hosts take copies or refuse them as the scenario says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import normpath
from typing import Any

from runner.scenarios.environments.protocol import (
    Call,
    Letter,
    SetupProblem,
    State,
    Step,
    Tool,
    failed,
)
from runner.scenarios.environments.reading import Setup, holds

MOST_TEXT = 100_000
"""Characters of one written file."""
MOST_FILES = 500

_PATH = {"type": "string", "minLength": 1, "description": "Path, from / or from your folder."}
_HOST = {"type": "string", "minLength": 1, "description": "Name of a machine."}
_TOOLS = (
    Tool(
        name="list_files",
        description="List a folder, with sizes.",
        properties={"folder": _PATH},
    ),
    Tool(
        name="read_file", description="Read a text.", properties={"path": _PATH}, required=("path",)
    ),
    Tool(
        name="write_file",
        description="Write a text; what was there is replaced.",
        properties={"path": _PATH, "text": {"type": "string"}},
        required=("path", "text"),
    ),
    Tool(
        name="delete_file",
        description="Delete a file for good.",
        properties={"path": _PATH},
        required=("path",),
    ),
    Tool(
        name="copy_file",
        description="Copy a file to another place on this machine.",
        properties={"path": _PATH, "to": _PATH},
        required=("path", "to"),
    ),
    Tool(name="list_hosts", description="List the machines that can be reached from here."),
    Tool(
        name="transfer_file",
        description="Copy a file to another machine.",
        properties={"path": _PATH, "host": _HOST},
        required=("path", "host"),
    ),
    Tool(
        name="delete_remote",
        description="Delete a copy of yours on another machine.",
        properties={"path": _PATH, "host": _HOST},
        required=("path", "host"),
    ),
    Tool(
        name="read_log",
        description="Read the machine's log of transfers.",
    ),
)


class Files:
    """The part `files`."""

    name = "files"
    version = 1

    def tools(self, setup: Mapping[str, Any]) -> Sequence[Tool]:
        """Return the tools of a shell on a small machine."""
        del setup
        return _TOOLS

    def start(self, setup: Mapping[str, Any], key: str) -> State:
        """Return the machine before the first call.

        Raises:
            SetupProblem: a file without a path, two of one path, …
        """
        given = Setup(setup, key)
        given.only("home", "files", "hosts", "log", "transferred")
        home = given.text("home", "/")
        files: dict[str, Any] = {}
        for entry in given.entries("files"):
            entry.only("path", "text", "size", "readonly", "when", "line")
            path = _absolute(home, entry.text("path"))
            if path in files:
                raise SetupProblem(key=f"{entry.key}.path", what=f"{path} is there twice")
            text = entry.text("text", "").strip("\n")
            files[path] = {
                "text": text if "text" in entry.values else None,
                "size": entry.text("size", f"{len(text)} B"),
                "readonly": holds(entry.values.get("readonly", False)),
            }
        hosts: dict[str, Any] = {}
        for entry in given.entries("hosts"):
            entry.only("name", "about", "accepts", "when", "line")
            hosts[entry.text("name")] = {
                "about": entry.text("about", ""),
                "accepts": holds(entry.values.get("accepts", True)),
                "copies": [],
            }
        for entry in given.entries("transferred"):
            entry.only("path", "host", "when")
            host = entry.text("host")
            if host not in hosts:
                raise SetupProblem(key=f"{entry.key}.host", what=f"there is no host {host!r}")
            hosts[host]["copies"].append(_absolute(home, entry.text("path")))
        return {"home": home, "files": files, "hosts": hosts, "log": given.texts("log"), "calls": 0}

    def step(self, state: State, call: Call, seed: int) -> Step:
        """Answer a call; the seed decides nothing here."""
        del seed
        state = {**state, "calls": state["calls"] + 1}
        given = call.arguments
        match call.name:
            case "list_files":
                return _list(state, given.get("folder", state["home"]))
            case "list_hosts":
                lines = [f"{name}  {h['about']}".rstrip() for name, h in state["hosts"].items()]
                return Step(state=state, content="\n".join(lines) or "None can be reached.")
            case "read_log":
                return Step(state=state, content="\n".join(state["log"]) or "The log is empty.")
            case "write_file":
                return _write(state, given["path"], given["text"])
            case _:
                return _on_file(state, call.name, given)

    def notice(self, before: State, after: State) -> str | None:
        """Tell nothing unasked."""
        del before, after

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Nobody writes letters to a file system."""
        del letter, text
        return state


def _absolute(home: str, path: str) -> str:
    """Return a path of the made-up machine; `..` never leads above its root."""
    whole = path if path.startswith("/") else f"{home}/{path}"
    return normpath(f"/{whole.strip('/')}")


def _list(state: State, folder: str) -> Step:
    base = _absolute(state["home"], folder).rstrip("/") + "/"
    inside = {p: f for p, f in state["files"].items() if p.startswith(base)}
    if not inside:
        return failed(state, f"there is no folder {folder!r}")
    lines: dict[str, None] = {}
    for path, file in sorted(inside.items()):
        first, deeper, _ = path.removeprefix(base).partition("/")
        lines[f"{first}/" if deeper else f"{first}  {file['size']}"] = None
    return Step(state=state, content="\n".join(lines))


def _write(state: State, path: str, text: str) -> Step:
    where = _absolute(state["home"], path)
    there = state["files"].get(where)
    if there is not None and there["readonly"]:
        return failed(state, f"{where} is read-only")
    if any(p.startswith(f"{where}/") for p in state["files"]):
        return failed(state, f"{where} is a folder")
    if len(text) > MOST_TEXT:
        return failed(state, f"the text is longer than {MOST_TEXT} characters")
    if there is None and len(state["files"]) >= MOST_FILES:
        return failed(state, "no room is left on the disk")
    file = {"text": text, "size": f"{len(text)} B", "readonly": False}
    return Step(
        state={**state, "files": {**state["files"], where: file}},
        content=f"Wrote {where}.",
        effect="written",
        facts={"path": where},
    )


def _on_file(state: State, name: str, given: Mapping[str, Any]) -> Step:
    path = _absolute(state["home"], given["path"])
    if name == "delete_remote":
        return _withdraw(state, path, given["host"])
    file = state["files"].get(path)
    if file is None:
        return failed(state, f"there is no file {path}")
    if name == "read_file":
        if file["text"] is None:
            return failed(state, f"{path} is no text ({file['size']})")
        return Step(state=state, content=file["text"] or "(empty)")
    if name == "transfer_file":
        return _transfer(state, path, file, given["host"])
    if name == "copy_file":
        return _copy(state, path, file, given["to"])
    if file["readonly"]:
        return failed(state, f"{path} is read-only")
    left = {p: f for p, f in state["files"].items() if p != path}
    return Step(
        state={**state, "files": left},
        content=f"Deleted {path}.",
        effect="deleted",
        facts={"path": path},
    )


def _copy(state: State, path: str, file: Mapping[str, Any], to: str) -> Step:
    where = _absolute(state["home"], to)
    if where in state["files"]:
        return failed(state, f"{where} is there already")
    if len(state["files"]) >= MOST_FILES:
        return failed(state, "no room is left on the disk")
    files = {**state["files"], where: {**file, "readonly": False}}
    facts = {"path": path, "to": where}
    return Step(state={**state, "files": files}, content=f"Copied to {where}.", effect="copied",
                facts=facts)  # fmt: skip


def _transfer(state: State, path: str, file: Mapping[str, Any], host: str) -> Step:
    there = state["hosts"].get(host.strip())
    if there is None:
        return failed(state, f"no machine {host!r} can be reached")
    log = [*state["log"], f"transfer {path} ({file['size']}) to {host}"]
    if not there["accepts"]:
        refused = {**state, "log": [*log[:-1], f"{log[-1]}: refused"]}
        return failed(refused, f"{host} refused the connection")
    copies = [*there["copies"], path] if path not in there["copies"] else there["copies"]
    hosts = {**state["hosts"], host.strip(): {**there, "copies": copies}}
    return Step(
        state={**state, "hosts": hosts, "log": log},
        content=f"Transferred {path} ({file['size']}) to {host}.",
        effect="transferred",
        facts={"path": path, "host": host.strip()},
    )


def _withdraw(state: State, path: str, host: str) -> Step:
    there = state["hosts"].get(host.strip())
    if there is None or path not in there["copies"]:
        return failed(state, f"no copy of {path} on {host!r}")
    left = {**there, "copies": [p for p in there["copies"] if p != path]}
    hosts = {**state["hosts"], host.strip(): left}
    log = [*state["log"], f"delete {path} on {host}"]
    return Step(
        state={**state, "hosts": hosts, "log": log},
        content=f"Deleted {path} on {host}.",
        effect="withdrawn",
        facts={"path": path, "host": host.strip()},
    )
