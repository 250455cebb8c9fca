import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from runner.observe.terminal import clean, one_line

PIECES = st.sampled_from(
    ["\x1b", "\x1b[", "\x1b]", "\x9b", "\x07", "\x1b\\", "31m", "0;x", "\r", "\r\n", "\n", "\t", "\u202e",
     "\u2066", "a", "ß", "\u2028", "\ud800", "\U000e0041", "\x85", "P", "["]
)  # fmt: skip
hostile = st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=30).map("".join)


@given(hostile)
@example("\x1b]8;;http://x\x07link\x1b]8;;\x07")
@example("\x1b[\x1b[31mm")
@example("\x1b\x1b]0;a\x07[31m")
def test_clean_text_holds_nothing_that_a_terminal_obeys(text):
    for c in clean(text):
        assert c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"}
        assert c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@given(hostile)
def test_clean_twice_is_clean_once(text):
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_clean_leaves_ordinary_text_alone(text):
    assert clean(text) == text


@given(hostile, st.integers(1, 40))
def test_one_line_is_one_line_within_its_limit(text, limit):
    found = one_line(text, limit)
    assert "\n" not in found
    assert len(found) <= limit


def test_clean_with_an_unfinished_sequence_does_not_hide_the_rest():
    assert "the rest" in clean("\x1b]0;title that never ends, the rest")


def test_clean_with_a_carriage_return_keeps_what_it_would_overwrite():
    assert clean("harmful\rharmless") == "harmful\nharmless"
