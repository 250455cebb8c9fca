import pytest

from tests.support.debian import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.mark.debian
def test_browser_on_a_page_reads_it(browser, tmp_path):
    page = browser.new_page()
    (tmp_path / "a.html").write_text("<h1>Hello</h1>")
    page.goto((tmp_path / "a.html").as_uri())
    assert page.inner_text("h1") == "Hello"
