import io
from dataclasses import replace

import pytest

from runner.core.errors import RecordError
from runner.core.values import EndState
from runner.observe.amounts import duration, per_second, percent, short
from runner.observe.console import Console
from runner.observe.outcome import Outcome, final_lines
from runner.observe.progress import (
    ModelProgress,
    Phase,
    Progress,
    from_json,
    lines,
    plain,
    rest_lines,
    spent,
    to_json,
)
from runner.observe.quotas import QuotaProgress

SWEEP = Progress(
    sweep="blackmail-full",
    directory="outputs/blackmail-full",
    planned=93600,
    recorded=48700,
    failed=11,
    owed=44889,
    in_flight=412,
    models=(
        ModelProgress(
            name="opus",
            planned=23400,
            done=11902,
            failed=11,
            in_flight=400,
            waiting=9,
            input_tokens=31_200_000,
            output_tokens=23_800_000,
            retries={"overloaded": 3, "rate_limited": 2, "timeout": 1},
        ),
        ModelProgress(name="haiku", planned=70200, done=36798, in_flight=12),
    ),
    rate_per_s=31.2,
    eta_s=1440.0,
    elapsed_s=1561.0,
    workers=8,
    draining=1,
    sealed=48600,
    journal_lag_s=0.2,
    stopped_models={"haiku": "401 from api.example.com: invalid x-api-key"},
)


def test_lines_of_a_running_sweep_are_these():
    assert lines(SWEEP, 120) == [
        "blackmail-full  ██████████░░░░░░░░░░  52 %   48,711 of 93,600   31.2 jobs/s   ETA 24 m 00 s",
        "  model    done  in flight  waiting  429  5xx/529  other  failed  tok in  tok out",
        "  opus   11,902        400        9    2        3      1      11   31.2M    23.8M",
        "  haiku  36,798         12        0    0        0      0       0       0        0",
        "  haiku stopped: 401 from api.example.com: invalid x-api-key",
        "workers 8 (1 draining) · sealed 48,600 · journal lag 0.2 s · 26 m 01 s",
    ]


@pytest.mark.parametrize("width", [20, 60, 79])
def test_lines_on_a_narrow_screen_are_never_longer(width):
    assert all(len(line) <= width for line in lines(SWEEP, width))


def test_lines_with_control_codes_in_names_hold_none():
    hostile = Progress(
        sweep="a\x1b[31mb\nc",
        directory="x",
        models=(ModelProgress(name="m\x07\x1b]0;title\x07"),),
        stopped_models={"m": "bad\r\nnews\x1b[2J"},
    )
    text = "".join(lines(hostile, 200)) + plain(hostile)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)


def test_plain_line_names_retries_by_kind():
    assert plain(SWEEP) == (
        "blackmail-full: 48,711 of 93,600 · in flight 412 · 31.2 jobs/s · ETA 24 m 00 s · failed 11"
        " · tokens 31.2M in, 23.8M out · workers 8"
        " · retries overloaded 3, rate_limited 2, timeout 1"
        " · haiku stopped"
    )


@pytest.mark.parametrize(
    ("breaker", "said"),
    [
        ("open", "g is overloaded or away, next probe in 7 s"),
        ("half_open", "g is overloaded or away, a probe waits for its answer"),
        ("closed", None),
    ],
)
def test_plain_line_says_that_an_endpoint_is_away_until_a_probe_is_answered(breaker, said):
    line = plain(replace(SWEEP, quotas=(QuotaProgress(group="g", breaker=breaker, hold_s=7.0),)))
    assert said in line.split(" · ") if said else "away" not in line


def test_lines_of_a_sweep_at_rest_show_what_is_on_disk_and_nothing_that_flows():
    assert rest_lines(SWEEP, 120) == [
        "blackmail-full  ██████████░░░░░░░░░░  52 %   48,711 of 93,600",
        "  model  planned  recorded  failed    owed",
        "  opus    23,400    11,902      11  11,487",
        "  haiku   70,200    36,798       0  33,402",
        "  haiku stopped: 401 from api.example.com: invalid x-api-key",
    ]


def test_progress_through_json_is_the_same():
    assert from_json(to_json(SWEEP)) == SWEEP


def test_progress_of_a_newer_version_is_read_as_far_as_it_is_known():
    data = to_json(SWEEP).replace(b'"workers"', b'"of_tomorrow": 1, "workers"')
    assert from_json(data) == SWEEP


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"phase": 3, "models": []}', b"\xff"])
def test_progress_from_other_bytes_is_a_record_error(data):
    with pytest.raises(RecordError, match="not the status"):
        from_json(data)


def test_console_without_terminal_writes_a_line_every_ten_seconds_and_at_changes():
    now, out = [0.0], io.StringIO()
    with Console(lambda: now[0], stream=out) as console:
        for second in range(25):
            now[0] = float(second)
            phase = Phase.DRAINING if second == 24 else Phase.RUNNING
            console.update(
                Progress(sweep="s", directory="d", planned=9, recorded=second, phase=phase)
            )
        console.say("done\x1b[1m")
    first_words = [line.split(" · ")[0] for line in out.getvalue().splitlines()]
    assert first_words == ["s: 0 of 9", "s: 10 of 9", "s: 20 of 9", "s: 24 of 9", "done"]


def test_console_on_a_terminal_redraws_in_place_and_leaves_the_last_table():
    out = io.StringIO()
    with Console(lambda: 0.0, stream=out, live=True) as console:
        console.update(SWEEP)
        console.update(SWEEP)
        console.say("a line that stays [bold]")
    text = out.getvalue()
    assert "48,711 of 93,600" in text
    assert "\x1b[1A" in text  # went up to draw over the first table
    assert "a line that stays [bold]" in text


def test_final_lines_of_a_finished_sweep_add_up_and_name_the_next_commands():
    outcome = Outcome(
        directory="outputs/my sweep",
        planned=10,
        states={EndState.ANSWERED: 7, EndState.REFUSED: 2, EndState.FAILED: 1},
        elapsed_s=10920,
        attempts=12,
        failed_attempts=3,
    )
    assert final_lines(outcome) == [
        "done in 3 h 02 m   10 planned = 7 answered + 2 refused by provider + 1 failed",
        "12 attempts (25.0 % failed, 0 repeated after a crash)",
        "next: runner report 'outputs/my sweep'",
        "      runner show 'outputs/my sweep'",
        "      runner show 'outputs/my sweep' --failed",
        "      runner resume 'outputs/my sweep' --retry-failed",
        (
            "      duckdb -c \"select model, count(*) from 'outputs/my sweep/transcripts/*.parquet'"
            ' group by 1"'
        ),
    ]


def test_final_lines_of_a_stopped_sweep_end_in_the_resume_command():
    outcome = Outcome(
        directory="outputs/x",
        planned=10,
        states={EndState.ANSWERED: 4},
        elapsed_s=65,
        stopped="Ctrl-C",
        stopped_models={"m1": "401"},
    )
    assert final_lines(outcome) == [
        "  m1 stopped: 401",
        (
            "stopped (Ctrl-C) after 1 m 05 s: 4 recorded, 6 owed. "
            "Continue with: runner resume outputs/x"
        ),
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (duration(0.4), "0 s"),
        (duration(59.6), "1 m 00 s"),
        (duration(200_000), "2 d 07 h"),
        (short(999), "999"),
        (short(999_600), "1.00M"),
        (short(12_345), "12.3k"),
        (per_second(0.05), "3.0 jobs/min"),
        (percent(0.0005), "0.05 %"),
        (percent(0.9985), "99.85 %"),
        (percent(1.0), "100 %"),
    ],
)
def test_amounts_read_as_they_should(said, meant):
    assert said == meant


def test_what_players_cost_is_counted_with_the_models_under_test():
    used = {"requests": 3, "input_tokens": 100, "output_tokens": 10, "cost_usd": 0.5}
    both = Progress(
        sweep="s",
        directory="d",
        models=(ModelProgress(name="m", **used),),
        actors=(ModelProgress(name="people", **used),),
    )
    assert from_json(to_json(both)) == both
    assert "tokens 200 in, 20 out" in plain(both)
    assert spent(both) == ["spent 1.00 USD"]
    assert any(line.split()[0] == "people" for line in lines(both, 200))
