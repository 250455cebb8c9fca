"""Values that are made for every call: frozen for the type checker alone.

`frozen=True` makes a dataclass set each field through `object.__setattr__`, which triples the cost
of making it (an `Attempt`: 1.6 µs for 0.5, Python 3.11); a job makes ten of them. Who assigns to a
field of one is told by `make check` instead of at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def light(cls: type[T]) -> type[T]:
    """Make a slotted, keyword-only, hashable dataclass that nobody may change."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
