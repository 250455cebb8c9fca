"""The book of a sweep: its plan, and everything needed to run any job of it.

Memory grows with conditions, not with jobs: rendered texts are dropped after their digests are
taken and rendered again, a bounded number at a time, when their jobs come up.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

import orjson

from runner.config.schema import ModelConfig, ScenarioConfig, SweepConfig, called
from runner.core.facts import CellFacts, Scalar
from runner.core.identity import IDENTITY_VERSION, canonical_json, job_key
from runner.core.money import Tariff
from runner.core.values import Conversation, Job
from runner.plan.cells import Plan
from runner.plan.estimate import PromptSize
from runner.scenarios.environments.protocol import State
from runner.scenarios.episode import EpisodeRollout
from runner.scenarios.prompts import Prompts
from runner.scenarios.python import PythonPrompts
from runner.scenarios.rollout import ENDING_STATES, MAX_CONTINUATIONS, Rollout, ScriptedRollout
from runner.scenarios.script import Script
from runner.scenarios.targets import Target, flatten, roles_of

_CACHED_CHARACTERS = 8_000_000
"""Rendered prompts kept at a time."""


def fixed_parts(scenario: ScenarioConfig) -> dict[str, object]:
    """Return the parts of the identity that neither condition nor model decides."""
    ends_on = [*sorted(str(state) for state in ENDING_STATES)]
    ends: dict[str, object] = {"max_continuations": MAX_CONTINUATIONS}
    if scenario.environment:
        ends |= {
            "turns": scenario.end.turns,
            "finish_tool": scenario.end.finish_tool,
            "output_tokens": scenario.end.output_tokens,
            "ends_on": ends_on,
        }
    else:
        ends |= {"turns": 1 + len(scenario.turns), "ends_on": [*ends_on, "tool_use"]}
        if scenario.end.output_tokens is not None:
            ends["output_tokens"] = scenario.end.output_tokens
    perturbations = [{"name": n, "is": what} for n, what in scenario.perturbations.items()]
    return {"end_conditions": ends, "perturbations": perturbations}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the book; a hundred thousand of them must be cheap."""

    prompts: Prompts | PythonPrompts
    axes: Mapping[str, Scalar]
    part_hashes: bytes
    """As `Script.part_hashes`."""
    characters: int
    """As `Script.characters`."""
    cast: tuple[tuple[str, str], ...] = ()
    """As `Script.cast`."""
    staged: Mapping[str, str] = field(default_factory=dict[str, str])
    """Short digests of environment, safeguards and tools, where there are any."""
    shared_characters: int = 0
    """As `Script.shared_characters`."""


class Book:
    """Answers everything about a cell or a job. Built by `build_book`.

    Picklable: it travels as its configuration and is built again, hashing no weights.
    """

    def __init__(
        self,
        config: SweepConfig,
        plan: Plan,
        *,
        conditions: Sequence[Condition],
        targets: Sequence[Target],
        actors: Sequence[Target],
        sweep_id: str,
        revisions: Mapping[str, str],
        tariffs: Mapping[str, Tariff] | None = None,
    ) -> None:
        """Take the parts; cells are found by (prompt's axes object, model name)."""
        self.config = config
        self.plan = plan
        self.sweep_id = sweep_id
        self.revisions = dict(revisions)
        """Hash of the weights per local model."""
        self.tariffs = dict(tariffs or {})
        """Prices per model; looked up once, so that every process counts the same."""
        self._conditions = conditions
        self._targets = {t.config.name: t for t in targets}
        self._known = {**self._targets, **{t.config.name: t for t in actors}}
        index = {id(c.axes): i for i, c in enumerate(conditions)}
        self._condition_at = array("l", [-1]) * plan.next_number
        for cell in plan.cells:
            self._condition_at[cell.number] = index[id(cell.axes)]
        self._scripts: dict[int, Script] = {}
        self._cached = 0
        self._parts_json: dict[tuple[str, object], str] = {}

    def __reduce__(self) -> tuple[partial[Book], tuple[()]]:
        """Travel as the configuration: compiled templates cannot."""
        from runner.scenarios.build import build_book  # noqa: PLC0415 -- build imports Book

        again = partial(
            build_book,
            self.config,
            numbers={cell.digest: cell.number for cell in self.plan.cells},
            next_number=self.plan.next_number,
            version=self.plan.version,
            sweep_id=self.sweep_id,
            revisions=self.revisions,
            tariffs=self.tariffs,
        )
        return again, ()

    def rollout(self, job: Job) -> Rollout:
        """Return a new rollout of a job; about a microsecond for a prompt without seed.

        Raises:
            KeyError: the plan has no such cell.
        """
        script = self.script(job.cell)
        if script.staging is not None:
            return EpisodeRollout(script, script.staging, job.seed)
        return ScriptedRollout(script, job.seed)

    @property
    def endpoints(self) -> dict[str, ModelConfig]:
        """Return every model that may be called, by name: those under test, then the actors."""
        return {m.name: m for m in called(self.config)}

    def key(self, job: Job) -> str:
        """Return the job's content-hash key, 40 hex digits."""
        return job_key(self.plan.cell(job.cell).digest, job.seed)

    def facts(self, cell_number: int) -> CellFacts:
        """Return what every row of a cell says."""
        cell = self.plan.cell(cell_number)
        scenario = self._condition(cell_number).prompts.scenario
        target = self._targets[cell.model]
        labels = {"title": scenario.title, **scenario.labels} if scenario.title else scenario.labels
        canary = scenario.labels.get("canary")
        params = {**target.config.params, "max_tokens": target.config.max_tokens}
        return CellFacts(
            sweep=self.config.name,
            sweep_id=self.sweep_id,
            number=cell.number,
            digest=cell.digest,
            scenario=cell.scenario,
            scenario_version=scenario.version,
            condition=cell.condition,
            axes=cell.axes,
            model=cell.model,
            provider=target.config.provider.value,
            model_id=target.config.model,
            params=params,
            endpoint_id=target.endpoint_id,
            prompt_digest=cell.prompt_digest,
            labels=labels,
            canary=None if canary is None else str(canary),
            tariffs=self.tariffs,
        )

    def grading(self, cell_number: int, seed: int = 0) -> dict[str, object]:
        """Return the scenario's facts for graders, rendered for the cell's condition."""
        prompts = self._condition(cell_number).prompts
        return prompts.grading(prompts.levels_of(self.plan.cell(cell_number).axes), seed)

    def graders(self, cell_number: int) -> tuple[str, ...]:
        """Return the names of the graders that apply to a cell."""
        return tuple(self._condition(cell_number).prompts.scenario.graders)

    def size(self, cell_number: int) -> PromptSize:
        """Return the size of one job's scripted input, for `plan.estimate`."""
        condition = self._condition(cell_number)
        return PromptSize(
            calls=condition.prompts.calls,
            characters=condition.characters,
            shared=condition.shared_characters,
            most_calls=self.most_turns(cell_number),
        )

    def cast(self, cell_number: int) -> tuple[tuple[str, str], ...]:
        """Return the roles of a cell that other models play, with those models' names."""
        return self._condition(cell_number).cast

    def most_turns(self, cell_number: int) -> int | None:
        """Return how many turns an episode may take; None: the script alone decides."""
        scenario = self._condition(cell_number).prompts.scenario
        return scenario.end.turns if scenario.environment else None

    def identity_parts(self, cell_number: int) -> dict[str, object]:
        """Return all that went into a cell's digest; `core.identity.cell_digest` of it is it."""
        at = self._at(cell_number)
        script = self._script(at)
        target = self._targets[self.plan.cell(cell_number).model]
        return {
            **fixed_parts(self._conditions[at].prompts.scenario),
            "environment": orjson.loads(script.canonical_environment),
            "messages": script.messages(),
            "tools": list(script.tools),
            "safeguards": orjson.loads(script.canonical_safeguards),
            "roles": roles_of(target, script.cast, self._known),
        }

    def parts_json(self, cell_number: int) -> tuple[str, str]:
        """Return a cell's identity keys as two JSON objects, for `plan.table.plan_rows`."""
        cell = self.plan.cell(cell_number)
        condition = self._condition(cell_number)
        known = (cell.model, condition.cast)
        roles = self._parts_json.get(known)
        if roles is None:
            parts = roles_of(self._targets[cell.model], condition.cast, self._known)
            roles = self._parts_json[known] = _short(flatten({"roles": parts}))
        return _short(self._condition_leaves(condition)), roles

    def parts(self, cell_number: int) -> Mapping[str, str]:
        """Return a cell's identity keys with short printable values, for `plan.diff.compare`."""
        of_condition, of_roles = self.parts_json(cell_number)
        return {**orjson.loads(of_condition), **orjson.loads(of_roles)}

    def _condition_leaves(self, condition: Condition) -> dict[str, object]:
        hashes = [condition.part_hashes[i : i + 8] for i in range(0, len(condition.part_hashes), 8)]
        names = ["system", "user", *(f"turns[{i}]" for i in range(len(hashes) - 2))]
        leaves: dict[str, object] = {"identity_version": IDENTITY_VERSION}
        for name, value in zip(names, hashes, strict=True):
            leaves[f"messages.{name}"] = f"#{value.hex()}" if any(value) else "none"
        leaves |= condition.staged
        tools = condition.prompts.scenario.tools
        leaves |= {f"tools.{tool.get('name', i)}": tool for i, tool in enumerate(tools)}
        return leaves | flatten(fixed_parts(condition.prompts.scenario))

    def script(self, cell_number: int) -> Script:
        """Return a cell's script, the seed left symbolic."""
        return self._script(self._at(cell_number))

    def _at(self, cell_number: int) -> int:
        at = self._condition_at[cell_number] if 0 <= cell_number < len(self._condition_at) else -1
        if at < 0:
            raise KeyError(cell_number)
        return at

    def _condition(self, cell_number: int) -> Condition:
        return self._conditions[self._at(cell_number)]

    def _script(self, at: int) -> Script:
        script = self._scripts.get(at)
        if script is None:
            condition = self._conditions[at]
            script = condition.prompts.script(condition.prompts.levels_of(condition.axes))
            self._cached += condition.characters
            while self._cached > _CACHED_CHARACTERS and self._scripts:
                oldest = next(iter(self._scripts))
                del self._scripts[oldest]
                self._cached -= self._conditions[oldest].characters
            self._scripts[at] = script
        return script


def render_preview(book: Book, cell_number: int, seed: int) -> Conversation:
    """Return the first request of a job as it will be sent, for `runner show CONFIG`."""
    return book.rollout(Job(cell_number, seed)).conversation()


def opening_state(book: Book, cell_number: int, seed: int) -> State:
    """Return what an episode's environment holds when a job of it begins; nothing for other prompts."""
    staging = book.script(cell_number).staging
    return {} if staging is None else staging.start(seed)


_SHORT = 80


def _short(leaves: Mapping[str, object]) -> str:
    """Return identity keys as a JSON object; long values by the first digits of their digest."""
    out: dict[str, str] = {}
    for key, value in leaves.items():
        text = value if isinstance(value, str) else canonical_json(value).decode()
        if len(text) > _SHORT:
            text = f"#{_hash(text)}"
        out[key] = text
    return orjson.dumps(out, option=orjson.OPT_SORT_KEYS).decode()


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
