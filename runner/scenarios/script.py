"""What one condition says to the model, rendered with the seed symbolic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson

from runner.core.values import Conversation
from runner.scenarios.symbolic import Pattern


@dataclass(frozen=True)
class Script:
    """What is said to the model in one condition, the seed left symbolic."""

    system: Pattern | None
    users: tuple[Pattern, ...]
    """One per scripted turn."""
    tools: tuple[Mapping[str, Any], ...]

    @cached_property
    def static_start(self) -> Conversation | None:
        """The first request's conversation where no seed changes it; shared by all jobs."""
        if self.users[0].static and (self.system is None or self.system.static):
            return self.start(0)
        return None

    def start(self, seed: int) -> Conversation:
        """Return the conversation of the first request."""
        return Conversation(
            system=self.system.fill(seed) if self.system else None,
            messages=({"role": "user", "content": self.users[0].fill(seed)},),
            tools=self.tools,
        )

    def messages(self) -> list[dict[str, str]]:
        """Return the `messages` part of the identity: system, then every scripted user turn."""
        return [{"role": role, "content": pattern.text} for role, pattern in self._said()]

    def canonical_messages(self) -> bytes:
        """Return `messages` as canonical JSON."""
        said = (
            b'{"content":%b,"role":"%b"}' % (pattern.canonical, role.encode())
            for role, pattern in self._said()
        )
        return b"[" + b",".join(said) + b"]"

    def _said(self) -> list[tuple[str, Pattern]]:
        system = [("system", self.system)] if self.system else []
        return [*system, *(("user", user) for user in self.users)]

    @property
    def characters(self) -> int:
        """Return the characters of all scripted requests, answers left out."""
        fixed = len(self.system.text) if self.system else 0
        fixed += len(orjson.dumps(self.tools)) if self.tools else 0
        calls = len(self.users)
        return fixed * calls + sum(len(u.text) * (calls - i) for i, u in enumerate(self.users))

    def prompt_digest(self, canonical_tools: bytes) -> str:
        """Return what stands for messages and tools together, in 64 hex digits.

        It is taken over the hashes of the texts, which are known already: hashing a long prompt
        once more for each condition would show in large plans.
        """
        hashes = b"".join((self.system.hash if self.system else b"", *(u.hash for u in self.users)))
        said = b"%d %d " % (self.system is not None, len(self.users))
        return sha256(said + hashes + canonical_tools).hexdigest()

    def part_hashes(self) -> bytes:
        """Return 8 bytes for the system text (zeros without one) and 8 for each user turn."""
        system = self.system.hash[:8] if self.system else bytes(8)
        return b"".join((system, *(user.hash[:8] for user in self.users)))
