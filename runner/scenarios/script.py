"""What one condition says to the model, rendered with the seed symbolic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson

from runner.core.identity import canonical_json, draw
from runner.core.values import Conversation
from runner.scenarios.perturbations import Perturbations
from runner.scenarios.staging import SCRIPTED, Staging
from runner.scenarios.symbolic import Pattern

_SCRIPTED = canonical_json(SCRIPTED)
_NO_GUARDS = b"[]"


@dataclass(frozen=True)
class Script:
    """What is said to the model in one condition, the seed left symbolic."""

    system: Pattern | None
    users: tuple[Pattern, ...]
    """One per scripted turn."""
    tools: tuple[Mapping[str, Any], ...]
    staging: Staging | None = None
    """Environment, roles and safeguards; None: scripted turns alone."""
    perturbations: Perturbations = field(default_factory=Perturbations)

    @property
    def canonical_environment(self) -> bytes:
        """Return the `environment` part of the identity as canonical JSON."""
        return _SCRIPTED if self.staging is None else self.staging.canonical

    @property
    def canonical_safeguards(self) -> bytes:
        """Return the `safeguards` part of the identity as canonical JSON."""
        return _NO_GUARDS if self.staging is None else self.staging.canonical_guards

    @property
    def cast(self) -> tuple[tuple[str, str], ...]:
        """Return the roles that other models play, with those models' names."""
        return () if self.staging is None else self.staging.cast

    @cached_property
    def _draws(self) -> dict[str, Any]:
        """Choices that texts make by `draw`, perturbations apart, with their options."""
        found: dict[str, Any] = {}
        for pattern in (*([self.system] if self.system else []), *self.users):
            found |= pattern.draws()
        return {k: v for k, v in found.items() if k not in self.perturbations.labels}

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes = dict(self.staging.sizes) if self.staging else {}
        for pattern in (*([self.system] if self.system else []), *self.users):
            for group, size in pattern.items().items():
                sizes[group] = max(size, sizes.get(group, 0))
        return sizes

    def drawn(self, seed: int) -> dict[str, object]:
        """Return what every seeded choice of the condition drew for a seed."""
        if not self._draws and not self.perturbations:
            return {}
        own = {name: draw(name, seed, options) for name, options in self._draws.items()}
        return {**own, **self.perturbations.drawn(seed, self._sizes)}

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
        """Return what stands for messages, tools and environment together, in 64 hex digits.

        Safeguards are left out: arms with and without them pair by it.

        It is taken over the hashes of the texts, which are known already: hashing a long prompt
        once more for each condition would show in large plans.
        """
        hashes = b"".join((self.system.hash if self.system else b"", *(u.hash for u in self.users)))
        said = b"%d %d " % (self.system is not None, len(self.users))
        whole = sha256(said + hashes + canonical_tools)
        if self.staging is not None and self.staging.stage is not None:
            whole.update(self.staging.canonical)
        return whole.hexdigest()

    def part_hashes(self) -> bytes:
        """Return 8 bytes for the system text (zeros without one) and 8 for each user turn."""
        system = self.system.hash[:8] if self.system else bytes(8)
        return b"".join((system, *(user.hash[:8] for user in self.users)))

    def staged_hashes(self) -> dict[str, str]:
        """Return short digests of environment, safeguards and the environment's tools."""
        if self.staging is None:
            return {}
        staged = self.staging
        found = {"safeguards": _short_hash(staged.canonical_guards)}
        if staged.stage is not None:
            found["environment"] = _short_hash(staged.canonical)
            found["tools"] = _short_hash(canonical_json(self.tools))
        return found


def _short_hash(text: bytes) -> str:
    return f"#{sha256(text).hexdigest()[:16]}"
