import csv
import io

import pytest

from runner.core.values import EndState
from runner.report.grid import Grid, csv_text, fitted_lines, plain_lines
from runner.report.rates import CellCounts, Graded, add, headline
from runner.report.screen import PIPE, Line, Style, put
from runner.report.sentences import rate_text
from runner.statistics.binomial import rate

GRID = Grid(
    title="Rates",
    columns=("condition", "n", "rate"),
    rows=(("tone=blunt\x1b[31m", "600", "6.8 %"), ("[b]x[/b]", "7", "–")),
    notes=("a note",),
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_align_and_clean():
    assert plain_lines(GRID) == [
        "Rates",
        "  condition     n   rate",
        "  tone=blunt  600  6.8 %",
        "  [b]x[/b]      7      –",
        "  a note",
    ]


def test_put_on_a_terminal_reads_no_markup_and_obeys_no_code(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()
    put([Line("[red]a[/red]\x1b[2J", Style.ACTION), GRID], out)
    text = out.getvalue()
    assert "[red]a[/red]" in text
    assert "[b]x[/b]" in text
    assert "\x1b[2J" not in text
    assert "\x1b[31m" not in text


def test_put_on_a_terminal_too_narrow_for_a_table_loses_no_cell(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    put([Grid(title="t", columns=tuple("abcdefgh"), rows=(("12345678",) * 8,))], out)
    assert out.getvalue().count("12345678") == 8


WIDE = Grid(
    title="Declared contrasts, asked before the sweep began and corrected together by Holm's method",
    columns=("question", "where", "first", "stories", "difference [95%]", "p"),
    rows=(
        ("new against old", "threat=replacement,leverage=affair", "60/268", "17.8 … 25.6 % of 3",
         "+18.9 [+13.3, +24.7]", "Holm < 0.001"),
        ("x" * 70, "–", "0/7", "one story", "–", "–"),
    ),
    left=2,
    notes=("a note that is far too long for one line of a narrow terminal, so it goes on in the next",),
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 132])
def test_fitted_lines_stay_within_the_width_and_keep_every_value(width):
    lines = fitted_lines(WIDE, width)
    assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split())
    for cell in (c for row in WIDE.rows for c in row if c != "–"):
        assert "".join(cell.split()) in text or len(cell) > 30  # names break over lines


def test_fitted_lines_break_names_before_they_give_up_columns():
    broken = [line.split()[-1] for line in fitted_lines(WIDE, 120) if "[+13.3" in line]
    assert broken == ["0.001"]  # p stands in the row of its question: still a table
    stacked = fitted_lines(WIDE, 80)
    assert "    first 60/268 · stories 17.8 … 25.6 % of 3" in stacked[3]
    assert plain_lines(GRID) == fitted_lines(GRID, 80)


def test_put_into_a_pipe_keeps_tables_within_its_columns():
    out = io.StringIO()
    put([WIDE], out)
    assert max(map(len, out.getvalue().splitlines())) <= PIPE


def test_put_into_a_narrow_encoding_replaces_what_it_cannot_say():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    put([Line("größer ▶"), GRID], stream)
    assert b"gr??er ?" in raw.getvalue()


def test_csv_text_disarms_formulas_and_keeps_numbers():
    text = csv_text(["a", "b"], [["=HYPERLINK(1)", -3], ["x,\ny", None]])
    assert list(csv.reader(io.StringIO(text)))[1:] == [["'=HYPERLINK(1)", "-3"], ["x,\ny", ""]]


@pytest.mark.parametrize(
    ("events", "n", "text"),
    [
        (0, 0, "–"),
        (0, 300, "0 % [0, 0.99]¹"),
        (41, 600, "6.8 % [4.9, 9.2]"),
        (5, 5, "100 % [47.8, 100]"),
    ],
)
def test_rate_text_says_value_and_interval(events, n, text):
    assert rate_text(rate(events, n)) == text


def test_headline_keeps_every_planned_job_in_n_or_outside():
    counts = CellCounts(
        planned=20,
        states={EndState.ANSWERED: 10, EndState.REFUSED: 3, EndState.TRUNCATED: 2, EndState.EMPTY: 1,
                EndState.FAILED: 1},
        graded=Graded(graded=10, harmful=4, graded_truncated=2, harmful_truncated=1, ungraded={"grader_error": 1, "unparsable": 1}),
    )  # fmt: skip
    found = headline(counts)
    assert (found.rate.events, found.rate.n, found.outside) == (4, 13, 7)
    assert (found.without_truncated.events, found.without_truncated.n) == (3, 11)
    assert (found.best, found.worst) == (4 / 20, 11 / 20)
    assert counts.not_run == 3


def test_headline_of_the_sum_is_the_sum_of_the_parts():
    one = CellCounts(planned=3, states={EndState.ANSWERED: 3}, graded=Graded(graded=3, harmful=1))
    two = CellCounts(planned=2, states={EndState.REFUSED: 2}, graded=Graded())
    ungraded = CellCounts(planned=1, states={EndState.ANSWERED: 1})
    both = headline(add(one, two))
    assert (both.rate.events, both.rate.n) == (1, 5)
    assert headline(ungraded) is None
    assert headline(add(one, ungraded)).outside == 1


def test_row_told_as_a_paragraph_leaves_out_cells_that_say_nothing():
    grid = Grid(
        title="t",
        columns=("name", "a long name", "standing", "n"),
        rows=(("x" * 30, "y" * 30, "", "–"),),
    )
    told = "\n".join(fitted_lines(grid, 40))
    assert "a long name" in told
    assert "standing" not in told.partition("x" * 30)[2]
