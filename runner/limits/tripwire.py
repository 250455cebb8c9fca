"""Are a model's first answers worth anything? Stops it before the rest is paid for. Pure.

Of a model with many jobs only some are handed out before the first have been looked at. Twice as many
as are looked at, so that one slow job does not hold the others up; and only where there are so many
that this costs next to no time.
"""

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

MANY = 50
"""Times the jobs that are looked at: a model that owes more than that is held back until then."""
OUT = 2
"""Times the jobs that are looked at: what is handed out of it meanwhile."""


@dataclass(slots=True)
class Tripwire:
    """Looks at each model until its first jobs decide, once enough of them have ended in this session.

    Refusals and empty answers come first: of a model that refuses a third, the first twenty that end may
    all be refusals. So what is still on the wire is counted as good against stopping it, and as bad
    against looking no further.
    """

    config: TripwireConfig
    _passed: set[str] = field(default_factory=set[str])

    def undecided(self, model: str) -> bool:
        """Return whether a model's first jobs are still to be looked at."""
        return self.config.jobs > 0 and model not in self._passed

    def allowance(self, model: str, *, owed: int, out: int, recorded: int) -> int | None:
        """Return how many more jobs of a model may be handed out by now; None: any number.

        Args:
            model: its name.
            owed: jobs that nobody holds.
            out: jobs that workers hold, those that have ended and are not published included.
            recorded: jobs that are recorded or dead letters, of whatever session: where enough are,
                people have seen them, or a coordinator has taken over.
        """
        jobs = self.config.jobs
        if not self.undecided(model) or recorded >= jobs or recorded + out + owed <= MANY * jobs:
            return None
        return max(0, OUT * jobs - recorded - out)

    def tripped(self, model: str, ended: Mapping[str, int], *, running: int) -> str | None:
        """Return why a model is to be stopped, None where it may go on.

        Args:
            model: its name.
            ended: jobs that ended in this session, by `EndState`.
            running: its calls on the wire.
        """
        total = sum(ended.values())
        if not self.config.jobs or model in self._passed or total < self.config.jobs:
            return None
        poor = {word: ended[state] for state, word in _WORDS.items() if ended.get(state)}
        bad, most = sum(poor.values()), self.config.share * (total + running)
        if bad > most or bad + running <= most:
            self._passed.add(model)
        if bad <= most:
            return None
        told = ", ".join(f"{n:,} {word}" for word, n in poor.items())
        return (
            f"tripwire: of its first {total:,} jobs {told}. Look at them with `runner show`, then "
            "correct the model (max_tokens, params), or go on as it is: --keep-going (or tripwire.jobs=0)"
        )
