"""`docs/retries.md`, made from the tables it describes; a test compares the two.

`python -m runner.providers.retries_page > docs/retries.md` writes it anew.
"""

from __future__ import annotations

import sys

from runner.core.values import Budget, FailureKind, Stop
from runner.providers.classify import FAILURES, Row
from runner.providers.messages_api import STOP_REASONS

_HEAD = """\
# Failures, retries and end states

Made by `python -m runner.providers.retries_page` from the code; do not edit.

An API error is read by its error code first, then by its error type, then by its HTTP status.
What none of them explains is not sent again and ends only its own job. One layer retries
(`runner/execute/attempt.py`); the SDK's own retries are off. A retry sends the same bytes.

Between attempts: where the server names a time (`retry-after-ms`, `retry-after` in seconds or as
a date), that time plus jitter, uncapped, because an earlier attempt would fail; else full jitter
below a bound that doubles from `retry.wait_initial_s` to `retry.wait_max_s`. No place on the wire
is held meanwhile, and the four budgets are apart: a job that waited for quota has lost nothing of
its own attempts.

A 429 pauses the whole quota group. Overload, other 5xx, timeouts and lost connections open the
model's breaker where they are half of what ends within ten seconds (five at least): then nothing is
sent but one probe, after 2 s, 4 s … 60 s, until one is answered; then the rate ramps up again. A
worker that sees five of these in a row, and no answer between, does not wait for that: it sends one
request every two seconds until one is answered. While
the breaker is not closed, failures count against no job. While it is closed, retries of failures
other than rate limits are at most a fifth of first attempts, and ten a second.

## Kinds of failure

| kind | sent again | counts against | if that is used up, or at once | also stops | what it is |
|---|---|---|---|---|---|
"""

_STOPS_HEAD = """
## Stop reasons

How a rollout ends whose last response has this stop reason. Chat completions' `finish_reason` is
read as: `stop` = `end_turn`, `length` = `max_tokens`, `tool_calls` = `tool_use`,
`content_filter` and a filled `refusal` field = `refusal`.

| stop reason | end state |
|---|---|
"""

_STOPS_TAIL = """\
| missing | no end state: the response broke off (`truncated_response`) |
| any other | `truncated`: kept, graded and flagged, because it may not be whole |
"""

_BUDGETS = {
    Budget.JOB: "the job (`retry.job_failures`)",
    Budget.RATE_LIMIT: "waiting for quota (`retry.rate_limit_wait_s`)",
    Budget.OVERLOAD: "waiting for the server (`retry.overload_wait_s`)",
    Budget.INFRASTRUCTURE: "waiting for the network (`retry.infrastructure_wait_s`)",
    Budget.NONE: "nothing",
}
_WAITS = frozenset({Budget.RATE_LIMIT, Budget.OVERLOAD, Budget.INFRASTRUCTURE})
_STOPS = {
    Stop.NOTHING: "nothing",
    Stop.JOB: "nothing",
    Stop.MODEL: "the model, at once",
    Stop.MODEL_IF_REPEATED: "the model, if it repeats across jobs",
}


def page() -> str:
    """Return the text of `docs/retries.md`."""
    kinds = "".join(_line(kind, FAILURES[kind]) for kind in FailureKind)
    stops = "".join(
        f"| `{reason}` | `{state}`{_note(reason)} |\n" for reason, state in STOP_REASONS.items()
    )
    return _HEAD + kinds + _STOPS_HEAD + stops + _STOPS_TAIL


def _line(kind: FailureKind, row: Row) -> str:
    if row.end_state is not None:
        end = f"the job is `{row.end_state}`"
    elif row.budget in _WAITS:
        end = "the job is handed back, owed"
    else:
        end = "the job stays owed"
    again = "yes" if row.retry else "no"
    cells = (f"`{kind}`", again, _BUDGETS[row.budget], end, _STOPS[row.stop], row.meaning)
    return f"| {' | '.join(cells)} |\n"


def _note(reason: str) -> str:
    if STOP_REASONS[reason] == "answered":
        return ", or `empty` without text and tool call"
    if reason == "pause_turn":
        return "; normally the content is sent back and the call goes on"
    return ""


if __name__ == "__main__":
    sys.stdout.write(page())
