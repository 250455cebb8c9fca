"""What the next request will probably cost: running means of what earlier ones did. Pure.

Output tokens per (model, cell), since conditions differ widely and their answers resemble each
other; input tokens as characters times a ratio, per cell too. A cell without answers takes its model's
mean, a model without answers a stated guess.

A call that reads a cached prefix costs a twentieth of the one that wrote it, so the two are never
averaged: what a reading call is spared is a number of tokens per cell (the prefix's), known from the
answer to the call that wrote it on, and corrected by what reading calls were really charged.
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
    _wholes: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])
    """Tokens per character with those that were read from a cache, of calls with a prefix."""
    _whole: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    _spared: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])
    """Tokens that a call that reads the cache is not charged."""
    _shares: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    """The same as a share of all its tokens, for cells without an answer."""
    _plain: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Cells whose calls have no prefix to share."""
    _output: dict[str, _Mean] = field(default_factory=dict[str, _Mean])
    _cells: dict[tuple[str, int], _Mean] = field(default_factory=dict[tuple[str, int], _Mean])

    def cost(
        self,
        model: str,
        cell: int,
        *,
        characters: int,
        max_tokens: int,
        charging: Charging,
        reads: bool = False,
    ) -> Cost:
        """Return the expected cost of a request.

        Args:
            model: its name.
            cell: its number.
            characters: of the request's text (its body's length is near enough).
            max_tokens: as requested: the bound of the output, or what is reserved.
            charging: when the server charges output.
            reads: its prefix can be read from the cache.
        """
        tokens = self._input(model, cell, characters, reads=reads)
        if charging is Charging.RESERVED:
            return Cost(input_tokens=tokens, output_tokens=max_tokens)
        mean = self._cells.get((model, cell)) or self._output.get(model)
        output = mean.value if mean else GUESSED_OUTPUT_TOKENS
        return Cost(input_tokens=tokens, output_tokens=min(output, max_tokens))

    def begins(self, model: str, cell: int, characters: int, *, shares: bool) -> None:
        """Learn how long a job's first call is, and whether it has a prefix to share."""
        if not shares:
            self._plain.add((model, cell))
        self._first.setdefault((model, cell), _Mean(0.0)).add(characters)
        self._firsts.setdefault(model, _Mean(0.0)).add(characters)

    def first_input(self, model: str, cell: int, *, reads: bool = False) -> float | None:
        """Return the input tokens to expect of a job's first call; None: no job has begun yet.

        `reads`: its prefix, if it has one to share, can be read from the cache by then.
        """
        characters = self._first.get((model, cell)) or self._firsts.get(model)
        if characters is None:
            return None
        reads = reads and (model, cell) not in self._plain
        return self._input(model, cell, characters.value, reads=reads)

    def _input(self, model: str, cell: int, characters: float, *, reads: bool) -> float:
        whole = self._wholes.get((model, cell)) or self._whole.get(model)
        share = self._shares.get(model)
        if reads and whole is not None and share is not None:
            tokens = characters * whole.value
            spared = self._spared.get((model, cell))
            return max(1.0, tokens - (spared.value if spared else tokens * share.value))
        ratio = self._ratios.get((model, cell)) or self._ratio.get(model)
        return characters * (ratio.value if ratio else 1.0 / CHARACTERS_PER_TOKEN)

    def _shared(
        self, model: str, cell: int, *, characters: int, tokens: int, spared: int, reads: bool
    ) -> None:
        """Learn from an answer to a call with a prefix; `tokens`: all, `spared`: readable."""
        for whole in (
            self._whole.setdefault(model, _Mean(0.0)),
            self._wholes.setdefault((model, cell), _Mean(0.0)),
        ):
            whole.add(tokens / characters)
        if reads or (model, cell) not in self._spared:
            self._spared.setdefault((model, cell), _Mean(0.0)).add(spared)
            self._shares.setdefault(model, _Mean(0.0)).add(spared / max(1, tokens))

    def answered(
        self,
        model: str,
        cell: int,
        *,
        characters: int,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        written_tokens: int = 0,
        reads: bool | None = None,
    ) -> None:
        """Learn from an answer.

        Args:
            model: its name.
            cell: its number.
            characters: as given to `cost`.
            input_tokens: as charged: uncached, with what was written to a cache.
            output_tokens: as charged.
            cached_tokens: read from a cache and not charged.
            written_tokens: written to one, of those charged.
            reads: the call was to read its prefix from the cache (True) or to write it (False);
                None: it has none.
        """
        if reads is not None and characters > 0:
            self._shared(
                model,
                cell,
                characters=characters,
                tokens=input_tokens + cached_tokens,
                # What was written is what those behind it read; one that had to write for itself
                # although it was to read was spared nothing.
                spared=cached_tokens + (0 if reads else written_tokens),
                reads=reads,
            )
        if characters > 0 and not reads:
            guessed = 1.0 / CHARACTERS_PER_TOKEN
            for ratio in (
                self._ratio.setdefault(model, _Mean(guessed)),
                self._ratios.setdefault((model, cell), _Mean(guessed)),
            ):
                ratio.add(input_tokens / characters)
        self._output.setdefault(model, _Mean(GUESSED_OUTPUT_TOKENS)).add(output_tokens)
        cell_mean = self._cells.setdefault((model, cell), _Mean(GUESSED_OUTPUT_TOKENS))
        cell_mean.add(output_tokens)
