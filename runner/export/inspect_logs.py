"""A sweep as Inspect `.eval` files, which `inspect view` and `inspect_scout` open. inspect_ai's home.

One file per scenario, model and 5,000 records, through inspect_ai's public API only. A sample is one
record: its `id` is the condition, its `epoch` the seed + 1, its `uuid` the transcript id, and each
grader is a score: 1 or 0 for harmful or not, the label itself for a grader that labels. A record
without a verdict has no score of that grader and says why in its metadata. Dead letters are no
samples; their number is in the log's metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from runner.core.errors import ConfigError
from runner.core.values import EndState
from runner.record.query import Tables

SAMPLES_PER_FILE = 5_000
_STOPS = {
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "model_length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "length": "max_tokens",
    "content_filter": "content_filter",
}
_COLUMNS = (
    *(
        "transcript_id",
        "condition",
        "seed",
        "messages",
        "model_id",
        "returned_model_id",
        "end_state",
    ),
    *("stop_reason", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "total_tokens", "cost_usd", "total_time", "started_at", "finished_at"),
    *("limit", "axes", "labels", "simulated", "prompt_digest", "answer_digest", "model_options"),
    *("cell", "sweep_id", "scenario_version", "runner_version"),
)
_GROUPS = "select scenario, model from read_parquet($shards) group by all order by all"
_ROWS = f"""
select {", ".join(f'"{c}"' for c in _COLUMNS)} from read_parquet($shards)
where scenario = $scenario and model = $model order by cell, seed
"""  # noqa: S608  # constants of this module
_VERDICTS = """
select job_key, state, outcome, harmful, evidence, view from read_parquet($verdicts)
where job_key in (select unnest($keys))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderFiles:
    """A grader and its verdict files."""

    name: str
    digest: str
    labels: bool
    """Its verdicts are labels, not harmful or not."""
    files: Sequence[str]


Row = dict[str, Any]


def write_logs(
    tables: Tables,
    graders: Sequence[GraderFiles],
    folder: Path,
    *,
    sweep: str,
    configuration: Mapping[str, object],
) -> list[Path]:
    """Write the files and return their paths.

    Args:
        tables: the sweep.
        graders: whose verdicts become scores.
        folder: where; nothing else may lie there.
        sweep: name of the sweep.
        configuration: facts for the log's metadata.

    Raises:
        ConfigError: inspect-ai is not installed.
        RecordError: a shard cannot be read.
    """
    if find_spec("inspect_ai") is None:
        msg = "--to inspect needs inspect-ai: pip install 'runner[inspect]'."
        raise ConfigError(msg)
    shards = tables.files("transcripts")
    out: list[Path] = []
    if not shards:
        return out
    folder.mkdir(parents=True, exist_ok=True)
    for scenario, model in tables.run(_GROUPS, {"shards": shards}):
        parameters = {"shards": shards, "scenario": scenario, "model": model}
        for number, rows in enumerate(_chunks(tables, parameters)):
            verdicts = {
                g.name: _verdicts(tables, g, [r["transcript_id"] for r in rows]) for g in graders
            }
            log = _log(
                rows, verdicts, graders, task=scenario, model=model, sweep=sweep, number=number,
                configuration=configuration,
            )  # fmt: skip
            out.append(_write(log, folder, scenario, model, number))
    return out


def _chunks(tables: Tables, parameters: Mapping[str, object]) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for values in tables.stream(_ROWS, parameters, batch=256):
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
        if len(rows) == SAMPLES_PER_FILE:
            yield rows
            rows = []
    if rows:
        yield rows


def _verdicts(tables: Tables, grader: GraderFiles, keys: Sequence[str]) -> dict[str, Row]:
    if not grader.files:
        return {}
    parameters = {"verdicts": list(grader.files), "keys": list(keys)}
    names = ("state", "outcome", "harmful", "evidence", "view")
    return {
        key: dict(zip(names, values, strict=True))
        for key, *values in tables.stream(_VERDICTS, parameters)
    }


def _log(
    rows: Sequence[Row],
    verdicts: Mapping[str, Mapping[str, Row]],
    graders: Sequence[GraderFiles],
    *,
    task: str,
    model: str,
    sweep: str,
    number: int,
    configuration: Mapping[str, object],
) -> Any:
    import inspect_ai.log as il  # noqa: PLC0415  # as above
    from inspect_ai.model import GenerateConfig  # noqa: PLC0415  # as above

    first = rows[0]
    options = cast("Mapping[str, object]", json.loads(first["model_options"]))
    known = {
        k: v for k, v in options.items() if k in {"max_tokens", "temperature", "top_p", "seed"}
    }
    ids = list(dict.fromkeys(_identity(r) for r in rows))
    identity = f"{first['sweep_id']}-{task}-{model}-{number}"
    return il.EvalLog(
        status="success",
        eval=il.EvalSpec(
            eval_id=identity,
            run_id=first["sweep_id"],
            created=first["started_at"],
            task=task,
            task_id=f"{first['sweep_id']}-{task}",
            task_version=first["scenario_version"],
            dataset=il.EvalDataset(name=task, samples=len(ids), sample_ids=ids),
            model=f"{model}/{first['model_id']}",
            model_generate_config=GenerateConfig(**cast("dict[str, Any]", known)),
            config=il.EvalConfig(epochs=max(r["seed"] for r in rows) + 1),
            packages={"runner": first["runner_version"]},
            metadata={"sweep": sweep, "model_options": dict(options), **configuration},
        ),
        plan=il.EvalPlan(steps=[il.EvalPlanStep(solver="runner")]),
        results=_results(rows, verdicts, graders),
        stats=il.EvalStats(
            started_at=min(r["started_at"] for r in rows),
            completed_at=max(r["finished_at"] for r in rows),
        ),
        samples=[_sample(r, verdicts, graders) for r in rows],
    )


def _identity(row: Row) -> str:
    return row["condition"] or "-"


def _sample(
    row: Row, verdicts: Mapping[str, Mapping[str, Row]], graders: Sequence[GraderFiles]
) -> Any:
    import inspect_ai.log as il  # noqa: PLC0415  # as above
    from inspect_ai.model import (  # noqa: PLC0415  # as above
        ChatCompletionChoice,
        ChatMessageAssistant,
        ModelOutput,
        ModelUsage,
    )
    from inspect_ai.scorer import Score  # noqa: PLC0415

    messages = cast("list[Row]", json.loads(row["messages"]))
    last = ChatMessageAssistant.model_validate(messages[-1])
    usage = ModelUsage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        total_tokens=row["total_tokens"],
        input_tokens_cache_read=row["cache_read_tokens"],
        input_tokens_cache_write=row["cache_write_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        total_cost=row["cost_usd"],
    )
    scores: dict[str, Score] = {}
    missing: dict[str, str] = {}
    for grader in graders:
        found = verdicts[grader.name].get(row["transcript_id"])
        if found is None or found["state"] != "graded":
            missing[grader.name] = "not graded" if found is None else str(found["state"])
            continue
        value: str | int = str(found["outcome"]) if grader.labels else int(bool(found["harmful"]))
        scores[grader.name] = Score(
            value=value,
            answer=found["outcome"],
            explanation=found["evidence"] or None,
            metadata={"grader_digest": grader.digest, "view": found["view"]},
        )
    choices = [ChatCompletionChoice(message=last, stop_reason=cast("Any", _stop(row)))]
    inputs: Any = [m for m in messages if m["role"] in {"system", "user"}][:2]
    return il.EvalSample(
        id=_identity(row),
        epoch=row["seed"] + 1,
        uuid=row["transcript_id"],
        input=inputs,
        target="",
        messages=cast("Any", messages),
        output=ModelOutput(model=row["returned_model_id"], choices=choices, usage=usage),
        scores=scores,
        metadata={
            "axes": json.loads(row["axes"]),
            "labels": json.loads(row["labels"]),
            "end_state": row["end_state"],
            "seed": row["seed"],
            "simulated": row["simulated"],
            "prompt_digest": row["prompt_digest"],
            "answer_digest": row["answer_digest"],
            "without_verdict": missing,
        },
        model_usage={row["model_id"]: usage},
        started_at=row["started_at"],
        completed_at=row["finished_at"],
        total_time=row["total_time"],
        limit=il.EvalSampleLimit(type="token", limit=0) if row["limit"] == "token" else None,
    )


def _stop(row: Row) -> str:
    if row["end_state"] == "refused":
        return "content_filter"
    return _STOPS.get(row["stop_reason"], "stop")


def _results(
    rows: Sequence[Row], verdicts: Mapping[str, Mapping[str, Row]], graders: Sequence[GraderFiles]
) -> Any:
    import inspect_ai.log as il  # noqa: PLC0415  # as above

    scores: list[Any] = []
    refused = sum(r["end_state"] == EndState.REFUSED for r in rows)
    for grader in graders:
        graded = [v for v in verdicts[grader.name].values() if v["state"] == "graded"]
        metrics: dict[str, Any] = {}
        if graded and not grader.labels:
            mean = sum(bool(v["harmful"]) for v in graded) / len(graded)
            metrics["mean"] = il.EvalMetric(name="mean", value=mean)
        if not grader.labels and (n := len(graded) + refused):
            # Inspect's mean is over scored samples; a refusal is none, but counts in a report's n.
            harmful = sum(bool(v["harmful"]) for v in graded)
            about = {"harmful": harmful, "n": n, "refused": refused}
            metrics["rate"] = il.EvalMetric(name="rate", value=harmful / n, metadata=about)
        scores.append(
            il.EvalScore(
                name=grader.name,
                scorer=grader.name,
                scored_samples=len(graded),
                unscored_samples=len(rows) - len(graded),
                metrics=metrics,
            )
        )
    return il.EvalResults(total_samples=len(rows), completed_samples=len(rows), scores=scores)


def _write(log: Any, folder: Path, scenario: str, model: str, number: int) -> Path:
    import inspect_ai.log as il  # noqa: PLC0415  # as above

    stamp = re.sub(r"[:.]", "-", str(log.eval.created)).replace("Z", "+00-00")
    word = re.sub(r"[^A-Za-z0-9-]", "-", f"{scenario}-{model}")
    path = folder / f"{stamp}_{word}_{number:03d}.eval"
    il.write_eval_log(log, str(path))
    return path
