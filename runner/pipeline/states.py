"""`runner show DIR --state`: what the environment of a recorded episode was after each turn.

Rows hold replies, not states: a state is computed again by the environment, which is pure. Where
the scenario or an environment of another package has changed since, that is said, not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from runner.config.yaml_tree import write
from runner.core.errors import RecordError
from runner.core.values import Reply, Usage
from runner.observe.terminal import clean, one_line
from runner.plan.cells import Cell
from runner.providers.messages_api import end_state_of
from runner.record.scout import reply_blocks
from runner.report.screen import Line, Style, rule
from runner.report.sweep import Renderings, Sweep
from runner.scenarios.findings import RenderProblem
from runner.scenarios.playback import changes, play_again

Row = Mapping[str, object]
_FOLDED = 12
_CHANGED_SINCE = (
    "the scenario (or the code or files it is made of) is not what it was when this was recorded: "
    "its states cannot be computed again"
)


def state_lines(sweep: Sweep, row: Row, *, full: bool) -> list[Line]:
    """Return the states of one record's environment, as what changed with each turn.

    Args:
        sweep: that it belongs to.
        row: of transcripts/ or failures/.
        full: whole states, nothing folded.

    Raises:
        RecordError: the resolved configuration cannot be rendered.
    """
    cell = sweep.plan.cell(cast("int", row["cell"]))
    prompts = Renderings(sweep.config).of(cell.scenario)
    try:
        script = prompts.script(prompts.levels_of(cell.axes))
    except (RenderProblem, KeyError):
        return [Line(_CHANGED_SINCE, Style.WARNING)]
    if script.prompt_digest(prompts.canonical_tools(script)) != cell.prompt_digest:
        return [Line(_CHANGED_SINCE, Style.WARNING)]
    played = play_again(script, cast("int", row["seed"]), replies_of(row, cell))
    if played is None:
        return [rule("state"), Line("the scenario has no environment", Style.FAINT)]
    recorded = json.loads(str(row["effects"])) if row.get("effects") else None
    if not played.whole or (recorded is not None and recorded != json.loads(_json(played.effects))):
        return [Line(_CHANGED_SINCE, Style.WARNING)]
    out = [rule("state at the start"), *_whole(played.start, full=full)]
    before = played.start
    for turn, state in enumerate(played.after, 1):
        out.append(rule(f"state after turn {turn}"))
        found = [_change(*one, full=full) for one in changes(before, state)]
        out += found or [Line("  as before", Style.FAINT)]
        if full:
            out += _whole(state, full=True)
        before = state
    return out


def replies_of(row: Row, cell: Cell) -> list[Reply]:
    """Return every reply of a row in order, those of other roles among them.

    Raises:
        RecordError: the row's JSON cannot be read.
    """
    try:
        raw = None if row.get("raw_content") is None else str(row["raw_content"])
        own = reply_blocks(str(row.get("messages") or "[]"), raw)
        reasons: list[str] = json.loads(str(row.get("stop_reasons") or "[]"))
        others = {c["turn"]: c for c in json.loads(str(row.get("role_calls") or "[]"))}
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{row.get('transcript_id') or row.get('job_key')}: no replies in it ({error})"
        raise RecordError(msg) from error
    found: list[Reply] = []
    waiting = iter(zip(own, [*reasons, *([""] * len(own))], strict=False))
    for at in range(len(own) + len(others)):
        other = others.get(at)
        blocks, reason = next(waiting) if other is None else (other["content"], "end_turn")
        content = tuple(cast("list[dict[str, Any]]", blocks))
        reason = reason or (
            "tool_use" if any(b.get("type") == "tool_use" for b in content) else "end_turn"
        )
        found.append(
            Reply(
                content=content,
                stop_reason=reason,
                end_state=end_state_of(reason, content),
                usage=Usage(),
                model=cell.model,
                continues=reason == "pause_turn",
                **({} if other is None else {"role": other["role"], "actor": other["model"]}),
            )
        )
    return found


def _whole(state: object, *, full: bool) -> list[Line]:
    lines = clean(write(json.loads(_json(state)))).rstrip("\n").split("\n")
    shown = lines if full or len(lines) <= _FOLDED + 2 else lines[:_FOLDED]
    out = [Line(f"  {line}") for line in shown]
    if len(shown) < len(lines):
        left = len(lines) - len(shown)
        out.append(Line(f"  … {left} more lines (--full shows them)", Style.FAINT))
    return out


def _change(path: str, before: object, after: object, *, full: bool) -> Line:
    width = 4000 if full else 160
    if before is None:
        return Line(f"  + {path}: {one_line(_json(after), width)}", Style.ACTION)
    if after is None:
        return Line(f"  - {path}: {one_line(_json(before), width)}", Style.WARNING)
    half = width // 2
    return Line(f"  ~ {path}: {one_line(_json(before), half)} → {one_line(_json(after), half)}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=list)
