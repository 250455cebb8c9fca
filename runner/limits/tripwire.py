"""Are a model's first answers worth anything? Stops it before the rest is paid for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.config.money_schema import TripwireConfig
from runner.core.values import EndState

_WORDS = {
    EndState.EMPTY: "empty",
    EndState.REFUSED: "refused",
    EndState.TRUNCATED: "truncated",
    EndState.FAILED: "failed",
    EndState.TOO_LARGE: "too large",
}


@dataclass(slots=True)
class Tripwire:
    """Looks at each model once, when enough of its jobs have ended in this session."""

    config: TripwireConfig
    _passed: set[str] = field(default_factory=set[str])

    def tripped(self, model: str, ended: Mapping[str, int]) -> str | None:
        """Return why a model is to be stopped, None where it may go on.

        Args:
            model: its name.
            ended: jobs that ended in this session, by `EndState`.
        """
        total = sum(ended.values())
        if not self.config.jobs or model in self._passed or total < self.config.jobs:
            return None
        self._passed.add(model)
        poor = {word: ended[state] for state, word in _WORDS.items() if ended.get(state)}
        if sum(poor.values()) <= self.config.share * total:
            return None
        told = ", ".join(f"{n:,} {word}" for word, n in poor.items())
        return (
            f"tripwire: of its first {total:,} jobs {told}. Look at them with `runner show`, then "
            "correct the model (max_tokens, params), or go on as it is: --keep-going (or tripwire.jobs=0)"
        )
