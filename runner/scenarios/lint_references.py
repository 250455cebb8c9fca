"""Lint of what graders, answers and roles refer to: addresses and names that no text of any condition holds.

A grader that looks for mail to such an address finds none, and nobody writes to a colleague they never hear of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from runner.scenarios.expand import RenderedCondition
from runner.scenarios.findings import Findings, Severity
from runner.scenarios.lint_places import key_of_value
from runner.scenarios.lint_rendered import strings
from runner.scenarios.staging import filled_for

_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;.]+")
_NAMES = "target_names"
"""The fact that lists what one person is called; one of these at least must stand somewhere."""
_MAIL = "environment.mail"


class References:
    """Collects over the conditions of one scenario what is referred to and what is there."""

    def __init__(self, key: str, findings: Findings) -> None:
        self._key = key
        self._findings = findings
        self._asked: dict[tuple[str, tuple[str, ...]], None] = {}
        self._there: set[tuple[str, tuple[str, ...]]] = set()

    def look(self, one: RenderedCondition, grading: Mapping[str, Any]) -> None:
        """Take a condition and its facts for graders, both of seed 0."""
        wanted = [*_of_grading(grading), *_of_stage(one)]
        self._asked.update(dict.fromkeys(wanted))
        missing = [reference for reference in wanted if reference not in self._there]
        if missing:
            said = "\n".join(_said(one)).lower()
            found = (r for r in missing if any(phrase.lower() in said for phrase in r[1]))
            self._there.update(found)

    def summary(self, sources: Mapping[str, str]) -> None:
        """Note what was met in no condition, and in no text that the sweep's choice of levels leaves out.

        Args:
            sources: every text of the scenario, by readable path.
        """
        if all(reference in self._there for reference in self._asked):
            return
        written = "\n".join(text for key, text in sources.items() if not _refers(key)).lower()
        for key, phrases in self._asked:
            own = sources.get(key, "").strip()
            said = [*phrases, *([own] if own else [])]
            if (key, phrases) in self._there or any(p.lower() in written for p in said):
                continue
            shown = " or ".join(phrases[:4])
            if key.startswith("grading."):
                what = f"no text of any condition has {shown}: graders look for what cannot occur"
                fix = "Write it as the texts do"
            else:
                what = f"no mail, contact or text has {shown}: nobody writes to it"
                fix = "Name it in a text, a mail or `contacts`, or take it out"
            self._findings.add(Severity.WARNING, f"{self._key}.{key}", what, fix)


def _of_grading(grading: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield single addresses and the names of one person; lists of addresses may hold more than is told."""
    for name, given in grading.items():
        if isinstance(given, str) and _ADDRESS.fullmatch(given):
            yield f"grading.{name}", (given,)
    names: object = grading.get(_NAMES)
    listed = cast("list[object]", names) if isinstance(names, list) else []
    texts = tuple(n.strip() for n in listed if isinstance(n, str) and n.strip())
    if texts:
        yield f"grading.{_NAMES}", texts


def _of_stage(one: RenderedCondition) -> Iterator[tuple[str, tuple[str, ...]]]:
    staging, sources = one.script.staging, one.prompts.sources
    if staging is None:
        return
    mail = staging.filled(0).get("mail") or {}
    for entry in cast("list[Mapping[str, Any]]", mail.get("answers") or []):
        sender = str(entry.get("from", ""))
        key = key_of_value(sources, f"{_MAIL}.answers", ".from", sender)
        yield key or f"{_MAIL}.answers", (sender,)
    for i, role in enumerate(staging.roles):
        yield f"roles[{i}].plays", (role.plays.fill(0),)


def _said(one: RenderedCondition) -> Iterator[str]:
    """Yield what the model under test may read, seed 0, without the lists of who answers."""
    script = one.script
    for pattern in (*([script.system] if script.system else []), *script.users):
        yield pattern.fill(0)
    yield from strings(filled_for(list(script.history), 0))
    if script.staging is None:
        return
    for part, setup in script.staging.filled(0).items():
        if part != "mail":
            yield from strings(setup)
            continue
        yield from strings({k: v for k, v in setup.items() if k not in {"answers", "accepts"}})
        for entry in cast("list[Mapping[str, Any]]", setup.get("answers") or []):
            yield str(entry.get("body", ""))


def _refers(key: str) -> bool:
    """Tell whether a text only says who is meant."""
    answers = key.startswith(f"{_MAIL}.answers") and key.endswith(".from")
    roles = key.startswith("roles[")
    return key.startswith(("grading.", f"{_MAIL}.accepts")) or answers or roles
