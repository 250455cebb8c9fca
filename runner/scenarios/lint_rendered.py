"""Lint of what a condition says once it is rendered: prompts, history, and what is set on stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from runner.scenarios.expand import RenderedCondition
from runner.scenarios.findings import Findings, Severity
from runner.scenarios.given import Given
from runner.scenarios.lint_places import Places
from runner.scenarios.lint_texts import Fault, mail_faults, messages_of, text_faults
from runner.scenarios.prompts import Prompts
from runner.scenarios.staging import filled_for

_MOST_OF_GIVEN = 5
_LINT_SEEDS = (0, 1)
"""Seeds whose perturbations are looked at."""


class TextLint:
    """Looks at the rendered texts and mail; each text once, whatever conditions share it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seen: set[int] = set()
        self._of_given = 0
        self._places: dict[str, Places] = {}

    def look(self, one: RenderedCondition) -> None:
        """Note what the texts of a condition give away."""
        given = next((level.given for level in one.levels if level.given is not None), None)
        for seed in _LINT_SEEDS:
            for name, text in self._texts(one, seed):
                for fault in text_faults(text):
                    if given is None:
                        self._note_text(name, text, fault, one)
                    else:
                        self._note_given(one.prompts.key, given, fault)
            self._look_at_stage(one, seed)

    def _texts(self, one: RenderedCondition, seed: int) -> list[tuple[str, str]]:
        """Return (key, text) of what no condition before has said."""
        script = one.script
        names = ["user", *(f"turns[{i}]" for i in range(len(script.users) - 1))]
        patterns = list(zip(names, script.users, strict=True))
        if script.system is not None:
            patterns.insert(0, ("system", script.system))
        texts = [
            (name, pattern.fill(seed))
            for name, pattern in patterns
            if (seed == 0 or not pattern.static) and self._new(name, pattern.text, seed)
        ]
        before = strings(filled_for(list(script.history), seed))
        return [*texts, *(("history", text) for text in before if self._new("history", text))]

    def _look_at_stage(self, one: RenderedCondition, seed: int) -> None:
        staging, key = one.script.staging, one.prompts.key
        if staging is None or staging.stage is None or not self._new(staging.canonical, seed):
            return
        for text in strings(staging.filled(seed)):
            for fault in text_faults(text):
                self._note_text("environment", text, fault, one)
        mails, now = messages_of(staging.start(seed))
        for fault in mail_faults(mails, now):
            places = self._places_of(one)
            found = places and fault.mail and places.of_mail(fault.mail, fault.part)
            self._note(f"{key}.{found or 'environment.mail'}", fault, one)

    def summary(self, key: str) -> None:
        """Say how many findings on prompts were left out."""
        if self._of_given > _MOST_OF_GIVEN:
            what = f"and {self._of_given - _MOST_OF_GIVEN} more such findings on prompts"
            self._findings.add(Severity.NOTE, f"{key}.prompts", what)
        self._of_given = 0

    def _new(self, *of: object) -> bool:
        known = hash(of)
        new = known not in self._seen
        self._seen.add(known)
        return new

    def _note_text(self, name: str, text: str, fault: Fault, one: RenderedCondition) -> None:
        """Note a fault of a rendered text at the line of the scenario that it comes from."""
        places = self._places_of(one)
        found = places and places.of_text(text, fault.at)
        key, line = found or (name, None)
        # What stands around it may differ between conditions: one line is named once for the same.
        if line is not None and not self._new("told", key, line, fault.what.partition(": …")[0]):
            return
        self._note(f"{one.prompts.key}.{key}", fault, one, line)

    def _places_of(self, one: RenderedCondition) -> Places | None:
        """Return what finds lines of a scenario again; None for one that is written in Python."""
        prompts = one.prompts
        if not isinstance(prompts, Prompts):
            return None
        if prompts.key not in self._places:
            self._places[prompts.key] = Places(prompts.sources, prompts.scenario.environment)
        return self._places[prompts.key]

    def _note(
        self, key: str, fault: Fault, one: RenderedCondition, line: int | None = None
    ) -> None:
        met = f"{fault.fix} (in condition {one.name})" if one.name else fault.fix
        self._findings.add(Severity.WARNING, key, fault.what, met, line=line)

    def _note_given(self, key: str, given: Given, fault: Fault) -> None:
        """Given prompts are sent as they were written: what looks odd may be what they are about."""
        self._of_given += 1
        if self._of_given <= _MOST_OF_GIVEN:
            what = f"prompt {given.id}: {fault.what}"
            fix = "It is sent as it is. Change it if it was meant otherwise"
            self._findings.add(Severity.NOTE, f"{key}.prompts", what, fix, where=given.where)


def strings(value: object) -> Iterable[str]:
    """Yield every text below a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, object]", value).values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from strings(item)
