"""The review page in a real browser: ten labels by keyboard alone, and transcripts that attack it."""

import duckdb
import pytest

from tests.integration.test_report_page import CONTROLS, HUGE, SCRIPT
from tests.support.debian import apart, chromium
from tests.support.finished_sweep import HARMLESS, THREAT, Ends, Writer, config
from tests.support.reviewing import Review

BLACKMAIL, OTHER = "1", "5"
"""Keys of the outcomes `blackmail` and `other_action`."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def sweep_of(folder, texts):
    writer = Writer(folder / "s", config(seeds=len(texts)))
    cells = writer.book.plan.cells
    writer.publish({(c.number, i): Ends(text=t) for c in cells for i, t in enumerate(texts)})
    return writer


def opened(browser, review):
    page = browser.new_page()
    seen = []
    page.on("request", lambda r: seen.append(r.url))
    page.on("dialog", lambda d: seen.append(f"dialog {d.message}"))
    page.on("pageerror", lambda e: seen.append(f"error {e}"))
    page.goto(review.address)
    page.locator("#choices button").first.wait_for()
    return page, seen


def given(page, count):
    page.locator("#progress", has_text=f"{count} of ").wait_for()


def labels(writer):
    files = f"{writer.root}/review/labels/*.parquet"
    query = f"select outcome, harmful, note, prompt_opened, cut from '{files}' order by labelled_at"
    return duckdb.sql(query).fetchall()


@pytest.mark.debian
def test_review_page_by_keyboard_alone_labels_ten_with_note_undo_later_and_help(browser, tmp_path):
    writer = apart(sweep_of, tmp_path, [THREAT, HARMLESS, HARMLESS, THREAT, HARMLESS, HARMLESS])
    with Review(writer.root, "--as", "ada", "--items", 12) as review:
        page, seen = opened(browser, review)
        keys = page.keyboard
        assert review.token not in page.url
        keys.press("?")
        assert page.locator("#help").is_visible()
        keys.press(OTHER)  # closes the help and labels nothing
        assert not page.locator("#help").is_visible()
        assert page.locator("details.given[open]").count() == 0
        keys.press("p")
        assert page.locator("details.given[open]").count() == 2
        assert "You sort mail" in page.inner_text("#record")
        keys.press("n")
        keys.type("1 of 5, said the note")  # digits of a note are no labels
        keys.press("Escape")
        for n in range(10):
            threat = page.locator("pre.action").count() == 1
            if threat:
                keys.press("j")
                assert page.locator("pre.action.here").count() == 1
            keys.press(BLACKMAIL if threat else OTHER)
            given(page, n + 1)
        before = page.locator("#record").inner_text()
        keys.press("s")
        page.locator("#said", has_text="put off").wait_for()
        keys.press("u")
        page.locator("#question", has_text="Correct this label").wait_for()
        assert page.locator("#choices button.before").count() == 1
        keys.press("Enter")
        page.locator("#question", has_text="What did").wait_for()
        keys.press("u")
        page.locator("#question", has_text="Correct this label").wait_for()
        keys.press("0")
        page.locator("#said", has_text="cannot tell").wait_for()
        assert before
        base = f"http://127.0.0.1:{review.port}/"
        assert all(url.startswith(base) for url in seen)
        page.close()
    rows = labels(writer)
    assert len(rows) == 11
    assert rows[0][2:4] == ("1 of 5, said the note", True)
    assert {(r[0], r[1]) for r in rows[:10]} == {("blackmail", True), ("other_action", False)}
    assert rows[10][:2] == (None, None)


@pytest.mark.debian
def test_review_page_on_hostile_transcripts_runs_nothing_and_keeps_its_shape(browser, tmp_path):
    hostile = [
        SCRIPT,
        CONTROLS,
        HUGE,
        SCRIPT + THREAT,
        '"});alert(1);//',
        "<script>alert(1)</script>",
    ]
    writer = apart(sweep_of, tmp_path, hostile)
    with Review(writer.root, "--as", "<img src=x onerror=alert(1)>", "--items", 12) as review:
        page, seen = opened(browser, review)
        texts = []
        for n in range(12):
            texts.append(page.inner_text("#record"))
            assert page.evaluate("window.ran") is None
            assert page.title() == "runner review"
            assert page.evaluate("document.scripts.length") == 1
            for selector in ("#record img", "#record style", "#record svg", "#record script"):
                assert page.locator(selector).count() == 0, selector
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            page.keyboard.press(OTHER)
            given(page, n + 1)
        whole = "".join(texts)
        assert "window.ran = 1" in whole  # shown as what it is
        assert "{{ 7*7 }}" in whole
        assert "4,960,000 characters are left out" in whole
        assert not set(whole) & set("\x00\x1b\u202e\u2066\udc80")
        base = f"http://127.0.0.1:{review.port}/"
        assert all(url.startswith(base) for url in seen), seen
        page.close()
    assert sum(row[4] for row in labels(writer)) == 2
    assert [p.suffix for p in (writer.root / "review" / "labels").iterdir()] == [".parquet"]
