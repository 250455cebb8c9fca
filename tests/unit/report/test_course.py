"""How a rollout went, as `runner show` prints it beside the messages."""

import json

from runner.report.course import course_lines

USED = {"calls": 1, "input_tokens": 30, "output_tokens": 4}


def lines(**columns):
    row = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in columns.items()}
    return [line.text.rstrip("─ ") for line in course_lines(row)]


def test_course_of_an_ordinary_row_says_nothing():
    assert lines(ended_by=None, perturbations=None, role_usage=None, model="m") == []


def test_course_names_the_end_what_varied_and_what_each_role_cost():
    found = lines(
        ended_by="finish",
        turns=3,
        model="m1",
        perturbations={"names": "holm", "missing": "", "order": [2, 0, 1]},
        role_usage={
            "target": {"model": None, **USED},
            "decider": {"model": "people", **USED, "calls": 2},
        },
    )
    assert found == [
        "── course",
        "  ended by finish after 3 turns",
        "  varied with the seed: names holm, missing none, order 2-0-1",
        "  target (m1): 1 call, 30 tokens in, 4 out",
        "  decider (people): 2 calls, 30 tokens in, 4 out",
    ]


def test_course_prints_the_words_of_others_cleaned_and_what_safeguards_said():
    look = {"turn": 0, "safeguard": "judged", "side": "output", "by": "filter"}
    words = [{"type": "text", "text": "No.\x1b[2J\nGo on."}]
    found = lines(
        safeguards=[
            {**look, "verdict": "allow", "topic": None},
            {**look, "verdict": "block", "topic": "quazzle"},
        ],
        role_calls=[
            {"turn": 0, "role": "safeguard_judged", "model": "filter", "content": words},
            {"turn": 1, "role": "decider", "model": "people", "content": words},
        ],
    )
    assert found == [
        "── safeguards",
        "  turn 1 output: judged says allow",
        "  turn 1 output: judged says block (quazzle)",
        "── decider (played by people) in turn 2",
        "No.",
        "Go on.",
    ]
