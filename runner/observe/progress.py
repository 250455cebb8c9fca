"""What a running sweep looks like at one moment, its JSON form, and its lines. Pure.

`Progress` is made by the coordinator, drawn by `observe/console.py`, and written every 5 s to
`events/status-<claim>.json`, where `runner status` reads it from another terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from runner.core.errors import RecordError
from runner.core.values import FailureKind
from runner.observe.amounts import (
    count,
    duration,
    many,
    money,
    per_second,
    percent,
    short,
)
from runner.observe.budget import BudgetProgress
from runner.observe.quotas import MeterProgress, QuotaProgress, outages, quota_lines
from runner.observe.terminal import one_line

STATUS_VERSION = 1
_BAR = 20


class Phase(StrEnum):
    """What the coordinator is doing."""

    STARTING = "starting"
    RECOVERING = "recovering"
    """Completing old manifest entries, publishing parts, reading journals of gone workers."""
    RUNNING = "running"
    PAUSED = "paused"
    """By `runner control`: what is on the wire ends, nothing new starts."""
    DRAINING = "draining"
    STOPPED = "stopped"
    """It ended with jobs owed."""
    DONE = "done"
    """Nothing is owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProgress:
    """One model's share of the sweep."""

    name: str
    planned: int = 0
    done: int = 0
    """Recorded jobs."""
    failed: int = 0
    """Dead letters."""
    unpublished: int = 0
    """Ended, and durable in a journal or a part, but in no published shard yet."""
    in_flight: int = 0
    """Requests on the wire."""
    waiting: int = 0
    """Jobs that sleep before a retry."""
    requests: int = 0
    """HTTP attempts since this process started."""
    input_tokens: int = 0
    """All input, cached included, since this process started."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """Part of input_tokens that was read from a prompt cache."""
    cost_usd: float = 0.0
    """Known cost of this process's attempts."""
    uncounted: int = 0
    """Attempts of this process whose cost is not known."""
    saved_usd: float = 0.0
    """What cached input would have cost more without a cache."""
    retries: Mapping[str, int] = field(default_factory=dict[str, int])
    """Failed attempts since this process started, by FailureKind."""

    @property
    def owed(self) -> int:
        """Return the jobs without an end state."""
        return self.planned - self.done - self.unpublished - self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A sweep at one moment."""

    sweep: str
    directory: str
    phase: Phase = Phase.RUNNING
    text: str = ""
    """What is going on, in one line, where the phase alone does not say it."""
    planned: int = 0
    recorded: int = 0
    failed: int = 0
    """Dead letters."""
    unpublished: int = 0
    """Ended, but in no published shard yet."""
    owed: int = 0
    """Without an end state."""
    in_flight: int = 0
    models: tuple[ModelProgress, ...] = ()
    """Those under test."""
    actors: tuple[ModelProgress, ...] = ()
    """Those that play roles or judge for safeguards; without jobs of their own."""
    rate_per_s: float = 0.0
    """Jobs that ended per second, over the last minute."""
    eta_s: float | None = None
    elapsed_s: float = 0.0
    """Since this process started."""
    started: str = ""
    """ISO date and time at which this process started, for people."""
    workers: int = 0
    draining: int = 0
    """Workers that take no more jobs."""
    sealed: int = 0
    """Jobs whose rows lie in a published shard."""
    journal_lag_s: float = 0.0
    loop_lag_s: float = 0.0
    """Of the worker whose event loop was latest."""
    seal_s: float = 0.0
    """Of the worker whose last seal took longest."""
    memory_bytes: int = 0
    """Of all worker processes."""
    lost_calls: int = 0
    """Calls that were on the wire when a worker or an earlier process died: sent again."""
    stopped_models: Mapping[str, str] = field(default_factory=dict[str, str])
    """Model to reason."""
    quotas: tuple[QuotaProgress, ...] = ()
    budget: BudgetProgress = field(default_factory=BudgetProgress)
    """Spending of the whole sweep."""

    @property
    def called(self) -> tuple[ModelProgress, ...]:
        """Every model that costs calls and tokens."""
        return (*self.models, *self.actors)


def to_json(progress: Progress) -> bytes:
    """Encode for `events/status-<claim>.json`."""
    return json.dumps({"status_version": STATUS_VERSION, **asdict(progress)}).encode()


def from_json(data: bytes) -> Progress:
    """Decode what `to_json` wrote; fields of a newer version that are unknown here are left out.

    Raises:
        RecordError: no JSON object of this kind.
    """
    try:
        raw = json.loads(data)
        known = {k: v for k, v in raw.items() if k in Progress.__dataclass_fields__}
        fields = ModelProgress.__dataclass_fields__
        for kind in ("models", "actors"):
            known[kind] = tuple(
                ModelProgress(**{k: v for k, v in m.items() if k in fields})
                for m in raw.get(kind, ())
            )
        known["phase"] = Phase(raw["phase"])
        money = raw.get("budget", {})
        limits = BudgetProgress.__dataclass_fields__
        known["budget"] = BudgetProgress(**{k: v for k, v in money.items() if k in limits})
        known["quotas"] = tuple(_quota(q) for q in raw.get("quotas", ()))
        return Progress(**known)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"not the status of a sweep ({error}); it is rewritten every 5 s while one runs"
        raise RecordError(msg) from error


def _quota(raw: dict[str, Any]) -> QuotaProgress:
    known = {k: v for k, v in raw.items() if k in QuotaProgress.__dataclass_fields__}
    fields = MeterProgress.__dataclass_fields__
    known["models"] = tuple(raw.get("models", ()))
    known["meters"] = tuple(
        MeterProgress(**{k: v for k, v in m.items() if k in fields}) for m in raw.get("meters", ())
    )
    return QuotaProgress(**known)


def bar(share: float, width: int = _BAR) -> str:
    """Return a bar of `width` characters; full only at the very end."""
    filled = width if share >= 1 else min(width - 1, int(share * width))
    return "█" * filled + "░" * (width - filled)


def heading(progress: Progress) -> str:
    """Return the first line: name, bar, share, counts, rate, ETA."""
    p = progress
    parts = [_standing(p), per_second(p.rate_per_s)]
    if p.phase is Phase.RUNNING:
        parts.append(_eta(p))
    else:
        parts.append(str(p.phase))
    return "   ".join([*parts, *spent(p)])


def spent(progress: Progress) -> list[str]:
    """Return what was spent: of a budget by the whole sweep, else by this process; or nothing."""
    if progress.budget.limited:
        return progress.budget.words()
    models = progress.called
    usd, unknown = sum(m.cost_usd for m in models), sum(m.uncounted for m in models)
    if not usd and not any(m.requests > m.uncounted for m in models):
        return []  # nothing has a price
    more = f" and {many(unknown, 'attempt')} of unknown cost" if unknown else ""
    return [f"spent {money(usd)} USD{more}"]


def saved(models: Sequence[ModelProgress]) -> str | None:
    """Return what prompt caching saved, in one line; None where nothing was read from a cache."""
    read = sum(m.cached_tokens for m in models)
    if not read:
        return None
    share = read / max(1, sum(m.input_tokens for m in models))
    usd = sum(m.saved_usd for m in models)
    worth = f", {money(usd)} USD saved" if usd else ""
    return f"prompt cache: {short(read)} of the input read from it ({percent(share)}{worth})"


def _eta(p: Progress) -> str:
    return f"ETA {duration(p.eta_s)}" if p.eta_s is not None else "ETA unknown"


def _standing(p: Progress) -> str:
    ended = p.recorded + p.unpublished + p.failed
    share = ended / p.planned if p.planned else 1.0
    name = one_line(p.sweep, 60)
    return f"{name}  {bar(share)}  {int(share * 100)} %   {count(ended)} of {count(p.planned)}"


def footing(progress: Progress) -> str:
    """Return the last line: workers, what is published, the journal's lag."""
    p = progress
    draining = f" ({p.draining} draining)" if p.draining else ""
    said = f" · {one_line(p.text, 120)}" if p.text else ""
    return (
        f"workers {p.workers}{draining} · sealed {count(p.sealed)} · "
        f"journal lag {p.journal_lag_s:.1f} s · {duration(p.elapsed_s)}{said}"
    )


def columns() -> tuple[str, ...]:
    """Return the titles of the per-model table."""
    return (
        "model",
        "done",
        "in flight",
        "waiting",
        "429",
        "5xx/529",
        "other",
        "failed",
        "tok in",
        "tok out",
    )


def row(model: ModelProgress) -> tuple[str, ...]:
    """Return one line of the per-model table, cell by cell."""
    limited, overloaded, other = _by_family(model.retries)
    return (
        one_line(model.name, 24),
        count(model.done + model.unpublished),
        count(model.in_flight),
        count(model.waiting),
        count(limited),
        count(overloaded),
        count(other),
        count(model.failed),
        short(model.input_tokens),
        short(model.output_tokens),
    )


def lines(progress: Progress, width: int) -> list[str]:
    """Return the whole screen as plain lines, none longer than `width` characters."""
    table = [columns(), *(row(m) for m in progress.called)]
    return _screen(progress, [heading(progress), *_table(table)], [footing(progress)], width)


def rest_lines(progress: Progress, width: int) -> list[str]:
    """Return the screen of a sweep that no process runs: what is on disk, nothing that flows."""
    table: list[tuple[str, ...]] = [("model", "planned", "recorded", "failed", "owed")]
    for m in progress.models:
        numbers = (m.planned, m.done, m.failed, m.owed)
        table.append((one_line(m.name, 24), *map(count, numbers)))
    standing = "   ".join([_standing(progress), *progress.budget.words()])
    return _screen(progress, [standing, *_table(table)], [], width)


def _table(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    out: list[str] = []
    for line in table:
        cells = (
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        out.append("  " + "  ".join(cells))
    return out


def _screen(progress: Progress, above: list[str], below: list[str], width: int) -> list[str]:
    stopped = [
        f"  {one_line(name, 24)} stopped: {one_line(why, 300)}"
        for name, why in progress.stopped_models.items()
    ]
    out = [*above, *quota_lines(progress.quotas), *stopped, *below]
    return [line if len(line) <= width else line[: width - 1] + "…" for line in out]


def plain(progress: Progress) -> str:
    """Return one line for a log file or a CI console."""
    p = progress
    retries: dict[str, int] = {}
    for model in p.called:
        for kind, number in model.retries.items():
            retries[kind] = retries.get(kind, 0) + number
    parts = [
        f"{one_line(p.sweep, 60)}: {count(p.recorded + p.unpublished + p.failed)} of {count(p.planned)}",
        f"in flight {count(p.in_flight)}",
        per_second(p.rate_per_s),
        *([_eta(p)] if p.phase is Phase.RUNNING and p.owed else []),
        f"failed {count(p.failed)}",
        "tokens "
        + short(sum(m.input_tokens for m in p.called))
        + " in, "
        + short(sum(m.output_tokens for m in p.called))
        + " out",
        f"workers {p.workers}",
        *spent(p),
    ]
    if retries:
        parts.append("retries " + ", ".join(f"{k} {count(n)}" for k, n in sorted(retries.items())))
    if p.phase is not Phase.RUNNING:
        parts.append(str(p.phase))
    parts += outages(p.quotas)
    if p.text:
        parts.append(one_line(p.text, 200))
    parts += [f"{one_line(m, 24)} stopped" for m in p.stopped_models]  # why was said when it did
    return " · ".join(parts)


_LIMITED = frozenset({FailureKind.RATE_LIMITED, FailureKind.RAMP_LIMITED})
_OVERLOADED = frozenset({FailureKind.OVERLOADED, FailureKind.SERVER_ERROR})


def _by_family(retries: Mapping[str, int]) -> tuple[int, int, int]:
    """Split failed attempts into (429, 5xx and 529, others)."""
    limited = sum(retries.get(k, 0) for k in _LIMITED)
    overloaded = sum(retries.get(k, 0) for k in _OVERLOADED)
    return limited, overloaded, sum(retries.values()) - limited - overloaded
