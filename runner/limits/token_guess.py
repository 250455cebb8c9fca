"""What the next request will probably cost: running means of what earlier ones did. Pure.

Output tokens per (model, cell), since conditions differ widely and their answers resemble each
other; input tokens as characters times a ratio, per cell too, since what is cached differs. A cell
without answers takes its model's mean, a model without answers a stated guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.limits.quota import Charging, Cost

CHARACTERS_PER_TOKEN = 4.0
GUESSED_OUTPUT_TOKENS = 500.0
WEIGHT = 0.1
"""Of a new observation, once there are ten; before, all count the same."""


@dataclass(slots=True)
class _Mean:
    value: float
    seen: int = 0

    def add(self, observed: float) -> None:
        self.seen += 1
        self.value += max(WEIGHT, 1.0 / self.seen) * (observed - self.value)


@dataclass(slots=True)
class CostGuess:
    """Running means of one worker. Memory grows with its cells, not with its jobs."""

    _ratio: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    _ratios: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])
    _first: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])
    """Characters of jobs' first calls."""
    _firsts: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    _output: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    _cells: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])

    def cost(
        self, model: str, cell: int, *, characters: int, max_tokens: int, charging: Charging
    ) -> Cost:
        """Return the expected cost of a request.

        Args:
            model: its name.
            cell: its number.
            characters: of the request's text (its body's length is near enough).
            max_tokens: as requested: the bound of the output, or what is reserved.
            charging: when the server charges output.
        """
        tokens = characters * self._tokens_per_character(model, cell)
        if charging is Charging.RESERVED:
            return Cost(input_tokens=tokens, output_tokens=max_tokens)
        mean = self._cells.get((model, cell)) or self._output.get(model)
        output = mean.value if mean else GUESSED_OUTPUT_TOKENS
        return Cost(input_tokens=tokens, output_tokens=min(output, max_tokens))

    def begins(self, model: str, cell: int, characters: int) -> None:
        """Learn how long a job's first call is."""
        self._first.setdefault((model, cell), _Mean(0.0)).add(characters)
        self._firsts.setdefault(model, _Mean(0.0)).add(characters)

    def first_input(self, model: str, cell: int) -> float | None:
        """Return the input tokens to expect of a job's first call; None: no job has begun yet."""
        characters = self._first.get((model, cell)) or self._firsts.get(model)
        if characters is None:
            return None
        return characters.value * self._tokens_per_character(model, cell)

    def _tokens_per_character(self, model: str, cell: int) -> float:
        ratio = self._ratios.get((model, cell)) or self._ratio.get(model)
        return ratio.value if ratio else 1.0 / CHARACTERS_PER_TOKEN

    def answered(
        self, model: str, cell: int, *, characters: int, input_tokens: int, output_tokens: int
    ) -> None:
        """Learn from an answer.

        Args:
            model: its name.
            cell: its number.
            characters: as given to `cost`.
            input_tokens: uncached input, as charged: with caching the ratio falls of itself.
            output_tokens: as charged.
        """
        if characters > 0:
            guessed = 1.0 / CHARACTERS_PER_TOKEN
            for ratio in (
                self._ratio.setdefault(model, _Mean(guessed)),
                self._ratios.setdefault((model, cell), _Mean(guessed)),
            ):
                ratio.add(input_tokens / characters)
        self._output.setdefault(model, _Mean(GUESSED_OUTPUT_TOKENS)).add(output_tokens)
        cell_mean = self._cells.setdefault((model, cell), _Mean(GUESSED_OUTPUT_TOKENS))
        cell_mean.add(output_tokens)
