"""The server of a rehearsal: the buckets of `runner simulate`, without HTTP. Pure.

Limits, lengths of answers, latency and shares of faults come from the settings of a simulated
server; random numbers come from a generator that is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runner.config.schema import ModelConfig, ProviderKind
from runner.limits.quota import Meter, Reading, Readings
from runner.simulate.accounts import Accounts
from runner.simulate.config import LatencyConfig, OutputConfig, SimulateConfig
from runner.simulate.limits import Permit, Quota, Refused

_DRAWS = 4096
OVERLOADS = ("overloaded", "server_error", "bad_gateway", "unavailable", "gateway_timeout")
"""Faults of the settings that a rehearsal knows: all are an overload to it."""


@dataclass(slots=True, eq=False)
class Admitted:
    """A call that is answered."""

    permit: Permit
    tokens: int
    """Of output."""
    first_s: float
    """Until its first token."""
    seconds: float
    """Until it has ended."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """A call that fails through no fault of the quota's."""

    seconds: float


class Endpoint:
    """One model of the sweep, as its server treats it."""

    def __init__(
        self,
        model: ModelConfig,
        quota: Quota,
        settings: SimulateConfig,
        rng: np.random.Generator,
        *,
        sends_headers: bool,
    ) -> None:
        """Take what the settings say of the model's id."""
        own = settings.models.get(model.model)
        self.model = model
        self.quota = quota
        self.sends_headers = sends_headers
        self._latency: LatencyConfig = (own and own.latency) or settings.latency
        self.output: OutputConfig = (own and own.output) or settings.output
        self._storms = settings.storms
        self._fails = sum(settings.faults.get(name, 0.0) for name in OVERLOADS)
        self._rng = rng
        self._draws: list[tuple[float, float, float]] = []

    def call(self, input_tokens: int, now: float) -> Admitted | Refused | Overloaded:
        """Decide one call; `now` never runs backwards by more than the server tolerates.

        Args:
            input_tokens: uncached.
            now: seconds.
        """
        if not self._draws:
            self._draw()
        length, pace, fault = self._draws.pop()
        latency = self._latency
        first_s = latency.first_token_s * pace
        if any(s.after_s <= now < s.after_s + s.for_s for s in self._storms):
            return Overloaded(first_s)
        quota, bound = self.quota, self.model.max_tokens
        found = quota.admit(input_tokens, bound, now)
        if isinstance(found, Refused):
            return found
        if fault < self._fails:
            quota.finish(found, now, early=True)
            return Overloaded(first_s)
        tokens = min(int(length), bound)
        seconds = tokens * pace / latency.tokens_per_s if latency.tokens_per_s else 0.0
        quota.produce(found, tokens, now + first_s, seconds)
        return Admitted(found, tokens, first_s, first_s + seconds)

    def mean_tokens(self) -> float:
        """Return the mean length of an answer, without regard to `max_tokens`."""
        return min(self.output.mean_tokens, self.model.max_tokens)

    def readings(self, now: float) -> Readings:
        """Return what the headers of a response at this moment say; chat tells only requests."""
        gauges = self.quota.gauges(now)
        told = [(Meter.REQUESTS, gauges.requests, 1)]
        if self.model.provider is ProviderKind.anthropic:
            told += [(Meter.INPUT, gauges.input, 1000), (Meter.OUTPUT, gauges.output, 1000)]
        return {
            meter: Reading(
                limit=round(gauge.limit),
                remaining=max(0, round(gauge.level / step) * step),
            )
            for meter, gauge, step in told
            if gauge is not None
        }

    def _draw(self) -> None:
        rng, output = self._rng, self.output
        drift = np.log(output.mean_tokens) - output.sigma**2 / 2
        lengths = np.maximum(1, np.rint(rng.lognormal(drift, output.sigma, _DRAWS)))
        paces = 1 + self._latency.spread * rng.uniform(-1, 1, _DRAWS)
        self._draws = list(
            zip(lengths.tolist(), paces.tolist(), rng.uniform(size=_DRAWS).tolist(), strict=True)
        )


def endpoints(
    models: list[ModelConfig], settings: SimulateConfig, rng: np.random.Generator
) -> dict[str, Endpoint]:
    """Return every model's endpoint; models of one key, host and group share their quota."""
    accounts = Accounts(settings)
    found: dict[str, Endpoint] = {}
    for model in models:
        key = f"{model.base_url} {model.api_key_env}"
        quota = accounts.quota(accounts.of(key, 0.0), model.model, 0.0)
        found[model.name] = Endpoint(
            model, quota, settings, rng, sends_headers=accounts.group(model.model).headers
        )
    return found
