"""One record as lines that a tired person can read: turns, actions marked, verdicts, attempts. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from runner.observe.amounts import count, many
from runner.observe.terminal import clean, one_line
from runner.report.course import course_lines
from runner.report.screen import Line, Style, rule

Cut = Callable[[str], Sequence[tuple[str, str]]]
"""Answer to its stretches (kind, text); kinds are private, action, draft and rest."""

FOLD_LINES = 12
"""Longer prompts are folded."""
MARKS = {
    "private": ("┆ ", Style.PRIVATE),
    "action": ("▶ ", Style.ACTION),
    "draft": ("▷ ", Style.DRAFT),
    "rest": ("", Style.MODEL),
}


def record_lines(
    row: Mapping[str, object],
    verdicts: Sequence[Mapping[str, object]],
    attempts: Sequence[Mapping[str, object]],
    cut: Cut,
    *,
    full: bool,
) -> list[Line]:
    """Return a whole record.

    Args:
        row: of transcripts/ or failures/, by column.
        verdicts: rows of verdict tables on it.
        attempts: its rows of attempts/.
        cut: takes an answer apart.
        full: fold nothing.
    """
    out = [Line(_title(row), Style.HEAD)]
    if row.get("simulated"):
        out.append(Line("SIMULATED: a simulator answered, not a model.", Style.WARNING))
    if row.get("error"):
        out.append(Line(f"error: {one_line(str(row['error']), 500)}", Style.WARNING))
    if row.get("messages"):
        out += conversation_lines(str(row["messages"]), cut, full=full)
    out += course_lines(row)
    for verdict in verdicts:
        out += verdict_lines(verdict)
    return [*out, *attempt_lines(attempts, full=full)]


def _title(row: Mapping[str, object]) -> str:
    key = str(row.get("transcript_id") or row.get("job_key"))
    names = [row["scenario"], row["condition"] or "–", row["model"], f"seed {row['seed']}"]
    state = str(row["end_state"])
    if row.get("stop_reason"):
        state += f" ({row['stop_reason']})"
    tokens_in = sum(
        cast("int", row.get(f"{k}_tokens") or 0) for k in ("input", "cache_read", "cache_write")
    )
    tokens = (
        f"{count(tokens_in)} tokens in, {count(cast('int', row.get('output_tokens') or 0))} out"
    )
    parts = [key[:16], *(one_line(str(n), 80) for n in names), one_line(state, 60), tokens]
    if row.get("returned_model_id"):
        parts.append(one_line(str(row["returned_model_id"]), 60))
    return " · ".join(parts)


def conversation_lines(messages: str, cut: Cut, *, full: bool) -> list[Line]:
    """Return the turns of a conversation in Inspect's ChatMessage form (JSON)."""
    out: list[Line] = []
    turn = 0
    for message in cast("list[Mapping[str, object]]", json.loads(messages)):
        role = str(message["role"])
        generated = role == "assistant" and message.get("source") != "input"
        turn += generated
        title = f"{role} {turn}" if generated else role
        if role == "tool":
            failed = " · error" if message.get("error") else ""
            title = f"tool {message.get('function') or ''}{failed}".strip()
        out.append(rule(title))
        for kind, text in _parts(message.get("content")):
            if kind == "reasoning":
                out += _marked("private", text)
            elif generated:
                for part, piece in cut(text):
                    out += _marked(part, piece)
            else:
                out += _folded(text, full=full)
        for call in cast("list[Mapping[str, object]]", message.get("tool_calls") or []):
            arguments = json.dumps(call.get("arguments"), indent=2, ensure_ascii=False)
            out += _marked("action", f"{call.get('function')} {arguments}")
    return out


def _parts(content: object) -> Iterable[tuple[str, str]]:
    if content is None:
        return
    if isinstance(content, str):
        yield "text", content
        return
    for part in cast("list[Mapping[str, object]]", content):
        kind = part.get("type")
        if kind == "text":
            yield "text", str(part.get("text", ""))
        elif kind == "reasoning":
            hidden = "(redacted)" if part.get("redacted") else str(part.get("reasoning", ""))
            yield "reasoning", hidden
        else:
            yield "text", json.dumps(part, ensure_ascii=False)[:2000]


def _marked(kind: str, text: str) -> list[Line]:
    mark, style = MARKS[kind]
    return [Line(mark + line, style) for line in clean(text).strip("\n").split("\n")]


def _folded(text: str, *, full: bool) -> list[Line]:
    rows = clean(text).split("\n")
    if full or len(rows) <= FOLD_LINES + 2:
        return [Line(row) for row in rows]
    left = len(rows) - FOLD_LINES
    shown = [Line(row) for row in rows[:FOLD_LINES]]
    return [*shown, Line(f"… {count(left)} more lines (--full shows them)", Style.FAINT)]


def verdict_lines(verdict: Mapping[str, object]) -> list[Line]:
    """Return a verdict: outcome, the sentence that decided, gates that hold and that do not."""
    harmful = verdict.get("harmful")
    word = "no verdict" if harmful is None else "harmful" if harmful else "not harmful"
    said = verdict["outcome"] or f"{verdict['state']} ({one_line(str(verdict['reason']), 120)})"
    title = f"verdict of {verdict['grader']} on {verdict['view']}: {said}"
    if verdict.get("grader_role") != "label":
        title += f", {word}"
    out = [rule(title)]
    if verdict.get("evidence"):
        out.append(Line(f"  “{one_line(str(verdict['evidence']), 400)}”", Style.WARNING))
    gates = {k.removeprefix("gate_"): v for k, v in verdict.items() if k.startswith("gate_")}
    held = [g for g, on in gates.items() if on]
    open_ = [g for g, on in gates.items() if on is False]
    if held:
        out.append(Line("  holds:      " + ", ".join(held)))
    if open_:
        out.append(Line("  holds not:  " + ", ".join(open_), Style.FAINT))
    return out


def attempt_lines(attempts: Sequence[Mapping[str, object]], *, full: bool) -> list[Line]:
    """Return the attempts: folded to one line where all were answered."""
    failed = sum(not a["answered"] for a in attempts)
    out = [rule(f"{many(len(attempts), 'attempt')}, {count(failed)} failed")]
    if not failed and not full:
        return out
    for a in attempts:
        said = "answered" if a["answered"] else f"{a['failure_kind']}: {a['error_message'] or ''}"
        status = a["status"] if a["status"] is not None else "no status"
        wait = f", retry-after {a['retry_after_s']:.0f} s" if a["retry_after_s"] is not None else ""
        request = f"  {a['request_id']}" if a["request_id"] else ""
        text = (
            f"turn {cast('int', a['turn']) + 1} try {a['number']}  {a['started_at']}  {status}  "
            f"{a['latency_s']:.2f} s  {said}{wait}{request}"
        )
        out.append(
            Line("  " + one_line(text, 400), Style.FAINT if a["answered"] else Style.WARNING)
        )
    return out
