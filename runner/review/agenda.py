"""Which record somebody labels next, and which of several labels count. Pure.

Everybody goes through the sample in an order of their own, so that two people who work at the same
time seldom meet. First what nobody has labelled, then the second labels of records that somebody else
labelled first, then, a whole sample later, those of one's own: agreement with oneself is the weaker
evidence, and is reported apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner.record.labels import Draw, Drawn, Label


@dataclass(frozen=True, slots=True)
class Opinions:
    """The labels that count, by record, oldest first."""

    by_record: Mapping[str, Sequence[Label]] = field(default_factory=dict[str, Sequence[Label]])

    def of(self, key: str) -> Sequence[Label]:
        """Return the labels of a record."""
        return self.by_record.get(key, ())

    def truth(self, key: str) -> Label | None:
        """Return the label that stands for a record: the majority's first, at a tie the first of all.

        Labels of those who could not tell are left out.
        """
        said = [label for label in self.of(key) if label.harmful is not None]
        if not said:
            return None
        harmful = sum(bool(label.harmful) for label in said)
        if 2 * harmful == len(said):
            return said[0]
        return next(label for label in said if label.harmful is (2 * harmful > len(said)))


def opinions(labels: Iterable[Label], grader: str) -> Opinions:
    """Return the labels that count: of each (record, person, look) the newest.

    Args:
        labels: of all sessions.
        grader: whose outcomes were the choices.
    """
    newest: dict[tuple[str, str, int], Label] = {}
    for label in sorted(labels, key=lambda one: one.labelled_at):
        if label.grader == grader:
            newest[label.job_key, label.labeller, label.look] = label
    out: dict[str, list[Label]] = {}
    for label in sorted(newest.values(), key=lambda one: one.labelled_at):
        out.setdefault(label.job_key, []).append(label)
    return Opinions(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a sample is."""

    records: int
    labelled: int
    """With one label or more."""
    twice: int
    """To be labelled twice."""
    labelled_twice: int
    own: int
    """Labels of the person who asks."""

    @property
    def left(self) -> int:
        """Labels still to be given."""
        return self.records - self.labelled + self.twice - self.labelled_twice


def progress(draw: Draw, known: Opinions, labeller: str) -> Progress:
    """Return how far a sample is."""
    return Progress(
        records=len(draw.items),
        labelled=sum(bool(known.of(i.job_key)) for i in draw.items),
        twice=sum(i.twice for i in draw.items),
        labelled_twice=sum(i.twice and len(known.of(i.job_key)) > 1 for i in draw.items),
        own=sum(label.labeller == labeller for i in draw.items for label in known.of(i.job_key)),
    )


def agenda(draw: Draw, known: Opinions, labeller: str, skipped: Sequence[str] = ()) -> list[Drawn]:
    """Return the records that a person has yet to label, in their order; skipped ones come last."""
    ranked = sorted(draw.items, key=lambda item: _rank(draw.seed, labeller, item.job_key))
    fresh: list[Drawn] = []
    second: list[Drawn] = []
    own: list[Drawn] = []
    for item in ranked:
        said = known.of(item.job_key)
        people = {label.labeller for label in said}
        if not said:
            fresh.append(item)
        elif item.twice and people == {labeller} and len(said) == 1:
            own.append(item)
        elif item.twice and len(people) == 1 and labeller not in people:
            second.append(item)
    # Those of one's own that are longest ago come first.
    own.sort(key=lambda item: known.of(item.job_key)[0].labelled_at)
    out = [*fresh, *second, *own]
    later = {key: i for i, key in enumerate(skipped)}
    return sorted(out, key=lambda item: later.get(item.job_key, -1))


def look_of(known: Opinions, key: str, labeller: str) -> int:
    """Return which look of a person at a record the next one is: 1 or 2."""
    return 1 + any(label.labeller == labeller for label in known.of(key))


def own_labels(known: Opinions, draw: Draw, labeller: str) -> list[Label]:
    """Return a person's labels of a sample, oldest first."""
    keys = {item.job_key for item in draw.items}
    mine = [
        label
        for key, said in known.by_record.items()
        if key in keys
        for label in said
        if label.labeller == labeller
    ]
    return sorted(mine, key=lambda label: label.labelled_at)


def _rank(seed: int, labeller: str, key: str) -> bytes:
    return hashlib.sha256(f"order\0{seed}\0{labeller}\0{key}".encode(errors="replace")).digest()
