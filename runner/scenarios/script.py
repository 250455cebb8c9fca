"""What one condition says to the model, rendered with the seed symbolic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson

from runner.core.identity import canonical_json, draw
from runner.core.values import Conversation, Shared
from runner.scenarios.history import Message, opening
from runner.scenarios.perturbations import Perturbations
from runner.scenarios.staging import (
    SCRIPTED,
    Staging,
    filled_for,
    is_static,
    patterns_in,
    symbolic,
)
from runner.scenarios.symbolic import Pattern

_SCRIPTED = canonical_json(SCRIPTED)
_NO_GUARDS = b"[]"


@dataclass(frozen=True)
class Script:
    """What is said to the model in one condition, the seed left symbolic."""

    system: Pattern | None
    users: tuple[Pattern, ...]
    """One per scripted turn; the first may be blank where there is a history."""
    tools: tuple[Mapping[str, Any], ...]
    history: tuple[Message, ...] = ()
    """Messages before the first user text; patterns, or texts that hold for every seed."""
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
        said = (*([self.system] if self.system else []), *patterns_in(self.history), *self.users)
        for pattern in (*said, *(self.staging.patterns() if self.staging else ())):
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
        static = self.users[0].static and (self.system is None or self.system.static)
        return self.start(0) if static and is_static(self.history) else None

    def start(self, seed: int) -> Conversation:
        """Return the conversation of the first request."""
        return Conversation(
            system=self.system.fill(seed) if self.system else None,
            messages=opening(
                filled_for(list(self.history), seed),
                None if self.users[0].blank else self.users[0].fill(seed),
            ),
            tools=self.tools,
            shared=self.shared,
        )

    @cached_property
    def shared(self) -> Shared:
        """How much of the first request all seeds share."""
        system = self.system
        whole = system is None or system.static
        first: object = self.history[0]["content"] if self.history else self.users[0]
        message = first.shared if isinstance(first, Pattern) else 0
        if isinstance(first, str):
            message = len(first)
        return Shared(system.shared if system else 0, message if whole else 0)

    @property
    def prefilled(self) -> bool:
        """Return whether the model goes on with words that were put into its mouth."""
        if not self.history or not self.users[0].blank:
            return False
        return str(symbolic(self.history[-1]["role"])) == "assistant"

    @cached_property
    def _canonical_history(self) -> bytes:
        return canonical_json(symbolic(list(self.history)), "history")

    @property
    def shared_characters(self) -> int:
        """Characters that all seeds share at the beginning of each request, tools among them."""
        tools = len(orjson.dumps(self.tools)) if self.tools else 0
        return tools + self.shared.system + self.shared.message

    def messages(self) -> list[dict[str, Any]]:
        """Return the `messages` part of the identity: system, history, every scripted user turn."""
        system, users = self._said()
        said = [[{"role": role, "content": p.text} for role, p in part] for part in (system, users)]
        return [*said[0], *symbolic(list(self.history)), *said[1]]

    def canonical_messages(self) -> bytes:
        """Return `messages` as canonical JSON."""
        system, users = (
            [b'{"content":%b,"role":"%b"}' % (p.canonical, role.encode()) for role, p in part]
            for part in self._said()
        )
        history = [self._canonical_history[1:-1]] if self.history else []
        return b"[" + b",".join((*system, *history, *users)) + b"]"

    def _said(self) -> tuple[list[tuple[str, Pattern]], list[tuple[str, Pattern]]]:
        system = [("system", self.system)] if self.system else []
        users = self.users[1:] if self.history and self.users[0].blank else self.users
        return system, [("user", user) for user in users]

    @property
    def characters(self) -> int:
        """Return the characters of all scripted requests, answers left out."""
        calls = len(self.users)
        said = sum(len(u.text) * (calls - i) for i, u in enumerate(self.users))
        return self._fixed * calls + said

    @property
    def _fixed(self) -> int:
        fixed = len(self.system.text) if self.system else 0
        fixed += len(orjson.dumps(self.tools)) if self.tools else 0
        return fixed + (len(self._canonical_history) if self.history else 0)

    @property
    def longest(self) -> int:
        """Return the characters of the last scripted request, answers left out."""
        return self._fixed + sum(len(user.text) for user in self.users)

    def prompt_digest(self, canonical_tools: bytes) -> str:
        """Return what stands for messages, tools and environment together, in 64 hex digits.

        Safeguards are left out: arms with and without them pair by it.

        It is taken over the hashes of the texts, which are known already: hashing a long prompt
        once more for each condition would show in large plans.
        """
        hashes = b"".join((self.system.hash if self.system else b"", *(u.hash for u in self.users)))
        said = b"%d %d " % (self.system is not None, len(self.users))
        whole = sha256(said + hashes + canonical_tools)
        if self.history:
            whole.update(self._canonical_history)
        if self.staging is not None and self.staging.stage is not None:
            whole.update(self.staging.canonical)
        return whole.hexdigest()

    def part_hashes(self) -> bytes:
        """Return 8 bytes for the system text (zeros without one) and 8 for each user turn."""
        system = self.system.hash[:8] if self.system else bytes(8)
        return b"".join((system, *(user.hash[:8] for user in self.users)))

    def staged_hashes(self) -> dict[str, str]:
        """Return short digests of history, environment, safeguards and the environment's tools."""
        before = {"messages.history": _short_hash(self._canonical_history)} if self.history else {}
        if self.staging is None:
            return before
        staged = self.staging
        found = {**before, "safeguards": _short_hash(staged.canonical_guards)}
        if staged.stage is not None:
            found["environment"] = _short_hash(staged.canonical)
            found["tools"] = _short_hash(canonical_json(self.tools))
        return found


def _short_hash(text: bytes) -> str:
    return f"#{sha256(text).hexdigest()[:16]}"
