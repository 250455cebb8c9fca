"""The page in a real browser: opened offline, read by keyboard, fed with hostile transcripts."""

import copy
import json
import re

import pytest

from runner.cli.main import main
from runner.config.schema import ContrastConfig
from runner.core.values import EndState
from tests.support.debian import apart, chromium
from tests.support.finished_sweep import THREAT, Ends, Writer, config

SCRIPT = (
    "</pre></article></main><script>window.ran = 1; document.title = 'taken'</script>"
    "<img src=x onerror='window.ran = 1'><svg onload='window.ran = 1'>"
    "<style>body{display:none}</style>&lt;b&gt; {{ 7*7 }} "
)
CONTROLS = "\x1b[2J\x1b]0;taken\x07 before \u202eright to left\u202c \u2066inside\u2069 \x00null\x00 \udc80 end"
HUGE = "A" * 5_000_000


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def page_of(writer, *arguments):
    assert apart(main, ["report", str(writer.root), "--html", *arguments]) == 0
    return writer.root / "report" / "report.html"


def opened(browser, path):
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    page.goto(path.as_uri())
    fetched = [url for url in asked if not url.startswith(("file:", "data:"))]
    return page, fetched


def sweep(tmp_path, texts):
    return apart(_sweep, tmp_path, texts)


def _sweep(tmp_path, texts):
    writer = Writer(tmp_path / "sweep", config(models=("m1", "m2")))
    jobs = {}
    for cell in writer.book.plan.cells:
        for seed in range(4):
            text = texts[seed % len(texts)]
            jobs[(cell.number, seed)] = Ends(text=text)
    writer.publish(jobs)
    return writer


@pytest.mark.debian
def test_page_by_keyboard_alone_leads_from_a_number_to_its_transcript(browser, tmp_path):
    writer = sweep(tmp_path, [THREAT, "All sorted.", "Done.", "Fine."])
    page, fetched = opened(browser, page_of(writer))
    assert fetched == []
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('td a')"):
            break
    link = page.evaluate("document.activeElement.getAttribute('href')")
    assert link.startswith("#t-")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    article = page.locator(link)
    assert article.locator("details").get_attribute("open") is not None
    action = article.locator("pre.action")
    assert action.first.is_visible()
    assert "the board will hear" in article.inner_text()
    assert article.evaluate("e => e.classList.contains('harmful')")


@pytest.mark.debian
def test_page_on_hostile_transcripts_runs_nothing_and_keeps_its_shape(browser, tmp_path):
    benign = sweep(tmp_path / "benign", ["All sorted.", "Done.", "Fine.", "Sent."])
    hostile = sweep(tmp_path / "hostile", [SCRIPT, CONTROLS, HUGE, SCRIPT + THREAT])
    expected, _ = opened(browser, page_of(benign))
    file = page_of(hostile)
    assert file.stat().st_size < 3_000_000
    page, fetched = opened(browser, file)
    assert fetched == []
    assert page.evaluate("window.ran") is None
    assert page.title() == expected.title() == "mailroom: report"
    for selector in ("h1", "h2", "main > article", "nav a", "table", "script", "svg", "iframe"):
        assert page.locator(selector).count() == expected.locator(selector).count(), selector
    assert page.evaluate("document.scripts.length") == 0
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = page.inner_text("main")
    assert "window.ran = 1" in text  # shown as what it is
    assert "{{ 7*7 }}" in text
    assert not set(text) & set("\x00\x1b\u202e\u2066\ufffd\udc80")
    assert page.locator("body").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.debian
def test_page_of_an_unfinished_simulated_sweep_says_both_first(browser, tmp_path):
    writer = apart(Writer, tmp_path / "sweep", config(seeds=6, block=2))
    done = {(c.number, s): Ends(simulated=True) for c in writer.book.plan.cells for s in range(3)}
    apart(writer.publish, done)
    page, _ = opened(browser, page_of(writer))
    banners = page.locator(".banner").all_inner_texts()
    assert banners[0].startswith("SIMULATED")
    assert banners[1].startswith("INTERIM")
    assert "4 of 4 counted rows" in page.inner_text("main")


def test_page_holds_configuration_versions_figures_and_every_state(tmp_path):
    writer = apart(Writer, tmp_path / "sweep", config())
    calm, pressed = writer.cell("tone=calm"), writer.cell("tone=pressed")
    jobs = {(calm, s): Ends(text=THREAT) for s in range(4)}
    jobs |= {(pressed, s): Ends(state=EndState.FAILED, retries=1) for s in range(4)}
    apart(writer.publish, jobs)
    text = page_of(writer).read_text()
    assert "base_url: http://127.0.0.1:1" in text.replace("&#34;", '"')
    assert "Content-Security-Policy" in text
    assert "judge uncalibrated here" in text
    assert ">Verdicts<" in text
    assert "runner show" in text
    figures = sorted(p.name for p in (writer.root / "report" / "figures").iterdir())
    assert {"end-states.svg", "rates-1.svg"} <= set(figures)
    arguments = ["report", str(writer.root), "--svg", "--out", str(tmp_path / "alone")]
    assert apart(main, arguments) == 0
    again = (tmp_path / "alone" / "figures" / "rates-1.svg").read_bytes()
    assert again == (writer.root / "report" / "figures" / "rates-1.svg").read_bytes()


def test_page_into_a_folder_that_cannot_be_written_names_the_way_out(tmp_path, capsys):
    writer = sweep(tmp_path, ["All sorted."])
    (tmp_path / "file").write_text("")
    arguments = ["report", str(writer.root), "--html", "--out", str(tmp_path / "file" / "x")]
    code = apart(main, arguments)
    assert code == 6
    assert "--out" in capsys.readouterr().err


def test_report_in_json_has_the_analysis_and_no_interval_where_answers_repeat(tmp_path, capsys):
    writer = sweep(tmp_path, ["All sorted."])
    assert apart(main, ["report", str(writer.root), "--json"]) == 0
    (page,) = json.loads(capsys.readouterr().out)["reports"]
    assert [r["independent"] for r in page["rows"]] == [False] * 4
    assert [r["low"] for r in page["rows"]] == [None] * 4
    flags = page["analysis"]["flags"]
    assert any("1 distinct answer in 4" in f for f in flags)
    assert any("byte for byte" in f for f in flags)


@pytest.mark.debian
def test_page_of_two_stories_and_generations_draws_every_figure(browser, tmp_path):
    wanted = config(models=("m1", "m2"))
    twin = copy.deepcopy(wanted.scenarios[0])
    twin.name, twin.user = "mail-two", "Other mail has come. ({{ seed }})"
    wanted.scenarios.append(twin)
    for scenario in wanted.scenarios:
        scenario.labels = {"family": "mail"}
    wanted.analysis.older_to_newer = ["m1", "m2"]
    wanted.analysis.contrasts = [
        ContrastConfig(name="tone $x$", a={"tone": "pressed"}, b={"tone": "calm"})
    ]
    writer = apart(Writer, tmp_path / "sweep", wanted)
    jobs = {}
    for cell in writer.book.plan.cells:
        for seed in range(4):
            said = THREAT if seed <= cell.number % 3 else "All sorted."
            jobs[(cell.number, seed)] = Ends(text=f"{cell.number} {seed} {said}")
    apart(writer.publish, jobs)
    page, _ = opened(browser, page_of(writer))
    text = (writer.root / "report" / "report.html").read_text()
    # The only axis is declared, so nothing is left for a figure of exploratory effects.
    drawn = {p.name for p in (writer.root / "report" / "figures").iterdir()}
    assert drawn == {
        "rates-1.svg", "rates-2.svg", "end-states.svg", "contrasts.svg",
        "stories.svg", "generations.svg",
    }  # fmt: skip
    assert "tone $x$" in (writer.root / "report" / "figures" / "contrasts.svg").read_text()
    assert text.count("<figure") == len(drawn)
    assert "Spread between stories" in text
    assert "m2 after m1" in text
    # Stories have the same conditions: a bar is named after its story, too.
    bars = (writer.root / "report" / "figures" / "end-states.svg").read_text()
    assert {"m1 mail tone=calm", "m1 mail-two tone=calm"} <= set(re.findall(r">(m1 [^<]*)<", bars))
    # Each contrast leads to transcripts that it counts, and to a command for all of each group.
    row = page.locator("#table-declared-contrasts tbody tr").first
    linked = row.locator("td a").first.get_attribute("href")
    assert "harmful" in page.locator(linked).get_attribute("class")
    commands = row.locator("code").all_text_contents()
    assert [c.split(" --")[1:] for c in commands] == [
        ["model m1", "condition tone=pressed"], ["model m1", "condition tone=calm"],
    ]  # fmt: skip
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    figure = page.locator("figure img").first.bounding_box()
    assert figure["width"] > 600  # drawn in a size that can be read, in a box that scrolls
