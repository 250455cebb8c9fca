import math

import pytest

from runner.core.identity import (
    IDENTITY_VERSION,
    CellForm,
    canonical_json,
    cell_digest,
    digest,
    draw,
    draw_unit,
    job_key,
)

VALUE = {
    "b": [1, 2.5, -0.0, 1e21, 1e-7, 0.1],
    "a": {"\u20ac": "x", "\r": "\x00\x1f\x7f\u2028", "😂": 1, "\ufb33": 2},
    "": [],
    "e": {},
    "t": (True, False, None),
}
CELL = {
    "environment": {"name": "scripted", "version": 1},
    "messages": [{"role": "user", "content": "Grüße, \ufdd0seed\ufdd1"}],
    "roles": {"target": {"model": "m", "request": {"max_tokens": 400, "params": {"top_p": 0.5}}}},
    "tools": [],
}


def test_canonical_json_golden():
    assert canonical_json(VALUE) == (
        b'{"":[],"a":{"\\r":"\\u0000\\u001f\x7f\xe2\x80\xa8","\xe2\x82\xac":"x",'
        b'"\xf0\x9f\x98\x82":1,"\xef\xac\xb3":2},'
        b'"b":[1,2.5,0,1e+21,1e-7,0.1],"e":{},"t":[true,false,null]}'
    )


def test_digest_golden():
    assert digest("") == "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"
    assert digest(VALUE) == "c8c65a36573dc579a734c1e1e1c8abdaae8f02a1a414e233a186ecc1a39265e2"


def test_cell_digest_golden():
    assert IDENTITY_VERSION == 1
    assert cell_digest(CELL) == "28fc2546520de06fea2546d15899f617ce6b4000bf786f818c2ea30d7ae3c222"


def test_cell_form_gives_the_cell_digest():
    cell = {**CELL, "safeguards": [{"name": "g"}], "end_conditions": {"turns": 1}}
    fixed = {k: canonical_json(cell[k]) for k in ("tools", "end_conditions")}
    form = CellForm(fixed).condition(
        canonical_json(cell["messages"]),
        environment=canonical_json(cell["environment"]),
        safeguards=canonical_json(cell["safeguards"]),
    )
    assert form.cell(canonical_json(cell["roles"])) == cell_digest(cell)
    other = {**cell, "roles": {}}
    assert form.cell(b"{}") == cell_digest(other)


def test_cell_form_when_texts_hold_nul_characters_is_not_confused():
    cell = {
        "messages": ["\x00"],
        "roles": {"a": "\x00"},
        "tools": ["\x00\x00"],
        "environment": "\x00",
        "safeguards": "\x00",
    }
    form = CellForm({"tools": canonical_json(cell["tools"])}).condition(
        canonical_json(cell["messages"]),
        environment=canonical_json(cell["environment"]),
        safeguards=canonical_json(cell["safeguards"]),
    )
    made = form.cell(canonical_json(cell["roles"]))
    assert made == cell_digest(cell)


def test_job_key_golden():
    assert job_key("ab" * 32, 7) == "d00838572e558af1129aa47f11b078b4b06fed0f"
    assert job_key("00" * 32, 2**31 - 1) == "7ef10c25564416c5647a9a9caedc061b1e6e8f5f"


def test_draw_golden():
    assert draw_unit("greeting", 7) == 0.03969815910481678
    assert "".join(draw("g", seed, "abc") for seed in range(12)) == "bbbccbcccbca"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [{"b": 2**53}]}, "$.a[0].b: integer"),
        ({"a": -(2**53)}, "$.a: integer"),
        ([math.nan], "$[0]: nan"),
        ({"x": math.inf}, "$.x: inf"),
        ({1: "x"}, "$: key 1"),
        ({"a": {"b": object()}}, "$.a.b: a object"),
        ({"a": b"x"}, "$.a: a bytes"),
        ({"a": {1, 2}}, "$.a: a set"),
        ({"a": "\ud800"}, "$.a: the text holds a lone surrogate"),
    ],
)
def test_canonical_json_when_value_has_no_canonical_form_names_the_path(value, path):
    with pytest.raises(ValueError) as caught:
        canonical_json(value)
    assert str(caught.value).startswith(path)


def test_draws_of_two_choices_are_independent_and_fair():
    seeds = range(4000)
    both = [(draw("a", s, (0, 1)), draw("b", s, (0, 1))) for s in seeds]
    for pair in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert 900 < both.count(pair) < 1100
