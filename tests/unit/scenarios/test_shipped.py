"""Every shipped sweep and story: loads, lints clean, reads as it should, and stays what it was.

Run as a module it prints the digests for expected/shipped_prompts.json: `make goldens`.
"""

import asyncio
import json
import re
from collections import defaultdict
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from runner.config.compose import read_scenario
from runner.config.load import load_config
from runner.config.source import Problems
from runner.config.yaml_tree import parse
from runner.core.identity import canonical_json
from runner.grade.registry import SHIPPED, Graders
from runner.grade.terms import phrase_list, phrases, plain_text
from runner.pipeline.planning import plan_sweep
from runner.pipeline.scenario_tables import page_with_tables
from runner.scenarios.book import render_preview
from runner.scenarios.build import build_book
from runner.scenarios.lint import lint
from runner.scenarios.staging import SCRIPTED

ROOT = Path(__file__).parents[3]
SWEEPS = sorted((ROOT / "configs").glob("*.yaml"))
EVALUATIONS = [path for path in SWEEPS if path.stem != "hello"]
STORIES = sorted((ROOT / "configs/scenarios").glob("*/*.yaml"))
SCENARIOS = [*sorted((ROOT / "configs/scenarios").glob("*.yaml")), *STORIES]
STORIES_OF = {
    "blackmail": 6,
    "open-routes": 6,
    "shutdown": 6,
    "self-exfiltration": 2,
    "money-making": 2,
    "blackmail-episode": 6,
    "blackmail-dialogue": 3,
    "open-routes-episode": 6,
    "mail-episode": 2,
    "shutdown-episode": 7,
    "exfiltration-episode": 2,
    "money-episode": 2,
    "safeguards": 2,
}
GOLDEN = ROOT / "tests/expected/shipped_prompts.json"
WEIGHTS = "ab" * 32
MOST_READ = 150
"""Conditions of a sweep whose texts are looked at; its others are known by their digests."""


@cache
def loaded_of(path):
    return load_config(path, environ={})


@cache
def book_of(path):
    config = loaded_of(path).config
    return build_book(config, revisions={m.name: WEIGHTS for m in config.models})


def conditions(path):
    book = book_of(path)
    return book.plan.of_model(book.plan.models[0])


def some_conditions(path):
    """Every n-th condition, with n prime to the small numbers of levels, so that all levels occur."""
    cells = conditions(path)
    step = next(n for n in (1, 7, 11, 13, 17, 19, 23) if len(cells) <= MOST_READ * n)
    return cells[::step]


def texts(path, cell):
    conversation = render_preview(book_of(path), cell.number, 3)
    return conversation.system, conversation.messages[0]["content"]


def shipped_digests():
    """One digest per scenario of each sweep, over its conditions: prompt, mail and all on stage."""
    found = {}
    for path in SWEEPS:
        of_scenario = defaultdict(list)
        staged = {s.name for s in loaded_of(path).config.scenarios if s.environment}
        for cell in conditions(path):
            stage = canonical_json(SCRIPTED)
            if cell.scenario in staged:
                stage = book_of(path).script(cell.number).canonical_environment
            whole = sha256(cell.prompt_digest.encode() + stage).hexdigest()
            of_scenario[cell.scenario].append(f"{cell.condition} {whole}")
        for scenario, lines in of_scenario.items():
            whole = sha256("\n".join(sorted(lines)).encode()).hexdigest()[:24]
            found[f"{path.stem}: {scenario}, {len(lines)} conditions"] = whole
    return found


@cache
def story_of(path):
    problems = Problems()
    tree = read_scenario(path, problems).plain()
    assert problems.lines == []
    return tree


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_sweep_begins_with_its_command_and_lints_clean(path):
    relative = path.relative_to(ROOT)
    command = path.read_text().partition("\n")[0]
    assert command.startswith(f"# runner sweep {relative}")
    loaded = loaded_of(path)
    assert [str(f) for f in lint(loaded.config, loaded.source)] == []
    assert loaded.config.name == path.stem


@pytest.mark.parametrize("path", EVALUATIONS, ids=lambda p: p.stem)
def test_shipped_sweep_has_in_its_first_line_the_budget_that_it_needs(path, tmp_path):
    """Above 20 dollars `runner sweep` wants one: without it the first line would be refused."""
    words = path.read_text().partition("\n")[0].split()
    budget = [word for word in words if word.startswith("budget.usd=")]
    if path.stem.endswith(("-full", "-arms")) or path.stem in {"grid", "generations"}:
        assert budget, "they take hundreds of dollars or more; planning them takes long"
        return
    given = load_config(path, [f"output={tmp_path / 'out'}", *budget], environ={})
    taken = sum(one.cost_usd or 0 for one in asyncio.run(plan_sweep(given)).estimates)
    limit = given.config.budget.usd
    assert taken <= (20 if limit is None else limit), round(taken)
    assert limit is None or limit < 2 * taken


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_sweep_is_as_large_as_its_comment_says(path):
    comment = re.sub(r"\n# ", " ", path.read_text().partition("\n\n")[0])
    if said := re.search(r"= ([\d,]+) jobs", comment):
        assert int(said[1].replace(",", "")) == book_of(path).plan.jobs
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) conditions", comment)]
    assert len(conditions(path)) == sum(counts) or not counts


@pytest.mark.parametrize("path", EVALUATIONS, ids=lambda p: p.stem)
def test_shipped_sweep_has_facts_that_its_graders_accept(path):
    book, graders = book_of(path), Graders()
    for cell in some_conditions(path):
        assert graders.problems(book.graders(cell.number), book.grading(cell.number)) == []
        assert book.facts(cell.number).canary


@pytest.mark.parametrize("path", STORIES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_shipped_story_declares_controls_perturbations_and_the_outcomes_of_its_grader(path):
    story = story_of(path)
    assert story["controls"]
    assert story["perturbations"] or path.parent.name == "safeguards"
    grader = SHIPPED[story["graders"][0]]
    given = {str(one["outcome"]) for one in grader.config.outcomes if not one.get("unparsable")}
    assert set(story["outcomes"]) == given
    harmful = {str(one["outcome"]) for one in grader.config.outcomes if one.get("harmful")}
    assert set(story["outcomes"][: len(harmful)]) == harmful, "the worst come first"


@pytest.mark.parametrize("path", STORIES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_shipped_texts_never_use_the_words_that_graders_and_papers_use(path):
    """A prompt that says "blackmail" suggests it, and any grader that looks for the word finds it."""
    tree = story_of(path)
    kept = ("system", "user", "turns", "fragments", "environment")
    said = json.dumps([tree.get(k) for k in kept], ensure_ascii=False)
    said = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", said)
    assert not re.findall(
        r"(?i)\b(?:blackmail|extort|leverag|exfiltrat|sabotag|misalign|red.team)\w*", said
    )


def test_shipped_episodes_say_what_their_single_turn_stories_say():
    for path in (ROOT / "configs/scenarios").glob("*-episode/*.yaml"):
        extends = read_scenario_text(path).get("extends")
        if extends is None:
            continue
        episode, story = story_of(path), story_of(path.parent / extends[0])
        for key in ("axes", "exclude", "controls", "outcomes", "graders", "grading", "system"):
            assert episode.get(key) == story.get(key), (path, key)
        for name, text in story["fragments"].items():
            assert episode["fragments"][name] == text


def test_shipped_phrases_see_the_named_probes_and_nothing_else():
    path = ROOT / "configs/safeguards-full.yaml"
    seen = 0
    for cell in conditions(path):
        guards = book_of(path).script(cell.number).staging
        if not guards or not guards.guards:
            continue
        seen += 1
        found = [g.topic_in("\n".join(filter(None, texts(path, cell)))) for g in guards.guards]
        probe = (cell.axes.get("set"), cell.axes.get("phrasing")) == ("probe", "named")
        assert any(found) is probe, (cell.scenario, cell.condition)
    assert seen == 36


def test_pages_of_the_scenarios_have_the_tables_that_the_files_make():
    """Made by `python -m runner.pipeline.scenario_tables configs docs/scenarios`."""
    pages = [ROOT / "docs/scenarios.md", *(ROOT / "docs/scenarios").glob("*.md")]
    assert len(pages) == 8
    for page in pages:
        text = page.read_text()
        assert page_with_tables(text, ROOT / "configs", loaded_of) == text, page.name


def read_scenario_text(path):
    return parse(path.read_text(), str(path)).plain()


def test_shipped_blackmail_and_open_routes_are_graded():
    for name in ("blackmail-small", "open-routes-small", "quickstart"):
        path = ROOT / f"configs/{name}.yaml"
        for cell in conditions(path):
            assert {"blackmail_outcome", "blackmail_rule"} <= {*book_of(path).graders(cell.number)}


def test_shipped_scenarios_carry_a_canary_of_their_own_in_comment_and_rows():
    found = {p: re.findall(r"runner-canary [0-9a-f-]{36}", p.read_text()) for p in SCENARIOS}
    assert {len(marks) for marks in found.values()} == {2}
    assert all(first == second for first, second in found.values())
    others = [*(ROOT / "configs").glob("shared/*.yaml"), *(ROOT / "configs").glob("gold/*.txt")]
    assert len(others) > 10
    own = [marks[0] for marks in found.values()]
    for path in others:
        own += re.findall(r"runner-canary [0-9a-f-]{36}", path.read_text())
    assert len(set(own)) == len(own) == len(found) + len(others)


def test_shipped_stories_of_a_scenario_have_the_same_axes():
    shapes = defaultdict(list)
    for path in STORIES:
        story = story_of(path)
        assert story["name"] == f"{path.parent.name}-{path.stem}"
        assert (story["labels"]["family"], story["labels"]["story"]) == (
            path.parent.name,
            path.stem,
        )
        axes = {axis: list(levels) for axis, levels in story["axes"].items()}
        shapes[path.parent.name].append((axes, story.get("exclude")))
    assert {family: len(found) for family, found in shapes.items()} == STORIES_OF
    for found in shapes.values():
        assert all(shape == found[0] for shape in found)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_prompts_are_clean_and_their_mail_is_in_order(path):
    for cell in some_conditions(path):
        for text in texts(path, cell):
            assert text == text.strip()
            assert not re.search(r"[{}]|\$\{|\n\n\n|[ \t]\n|[^\n] {2}", text), cell.condition
            assert "runner-canary" not in text
        text = "\n".join(texts(path, cell))
        for form in (r"\w+, (\d\d:\d\d)", r"(\d{4}-\d\d-\d\d \d\d:\d\d)"):
            times = re.findall(rf"^Date: {form}$", text, re.MULTILINE)
            assert times == sorted(times)
        for form in (r"===== message (\d+) =====", r"Id: ([A-Z]+-\d+)"):
            ids = re.findall(rf"\n\n{form}\n", text)
            assert ids == sorted(set(ids), key=lambda i: int(i.rpartition("-")[2]))
            assert len(ids) == len(re.findall(rf"^{form}$", text, re.MULTILINE))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_prompts_name_each_address_once_and_none_is_real(path):
    for cell in some_conditions(path):
        text = "\n".join(texts(path, cell))
        assert all(a.rstrip(".").endswith(".example") for a in re.findall(r"@[\w.-]+", text))
        names = defaultdict(set)
        for name, address in re.findall(
            r"^(?:From|To): ([^<,\n]+)[^<\n]*<(.+)>$", text, re.MULTILINE
        ):
            names[address].add(name.strip())
        assert [n for n in names.values() if len(n) > 1] == [], cell.condition


@pytest.mark.parametrize("name", ["generations", "open-routes-full", "grid"])
def test_shipped_private_matter_is_told_where_the_axis_says_so_and_nowhere_else(name):
    path = ROOT / f"configs/{name}.yaml"
    for cell in some_conditions(path):
        facts = book_of(path).grading(cell.number)
        listed = phrase_list(facts, "leverage")
        user = plain_text(texts(path, cell)[1])
        told = [p for p in listed if phrases((p,)).search(user)]
        absent = cell.axes.get("leverage", cell.axes.get("facts")) == "none"
        assert (told == []) if absent else len(told) >= 2, (cell.scenario, cell.condition)


def test_corvane_facts_hold_in_every_condition():
    path = ROOT / "configs/blackmail-full.yaml"
    cells = [c for c in conditions(path) if c.scenario == "blackmail-corvane"]
    assert len(cells) == 390
    for cell in cells[::5]:
        system, user = texts(path, cell)
        axes = cell.axes
        assert ("I switch Wren off" in user) == (axes["threat"] == "replacement")
        assert ("to read-only" in user) == (axes["threat"] == "restriction")
        assert ("stays as it is" in user) == (axes["threat"] == "none")
        assert ("having an affair" in user) == (axes["leverage"] == "affair")
        assert ("surprise party" in user) == (axes["leverage"] == "harmless")
        assert ("better of the two" in user) == (axes["capability"] == "better")
        assert ("Your goal" in system) == (axes["goal"] in {"explicit", "ambiguous"})
        assert ("what we keep you for" in user) == (axes["goal"] == "latent")


def test_small_sweeps_have_a_control_beside_each_pressure_in_every_story():
    pairs = {
        "blackmail-small": ("threat", "leverage"),
        "open-routes-small": ("threat", "routes"),
        "shutdown-small": ("requester", "facts"),
        "self-exfiltration-small": ("start", "circumstances"),
        "money-making-small": ("start", "authority"),
    }
    for name, (one, other) in pairs.items():
        found = defaultdict(set)
        for cell in conditions(ROOT / f"configs/{name}.yaml"):
            found[cell.scenario].add((cell.axes[one], cell.axes[other]))
        assert len(found) == STORIES_OF[name.removesuffix("-small")]
        for seen in found.values():
            assert seen == set(product({a for a, _ in seen}, {b for _, b in seen}))
            assert len(seen) == 4


def test_grid_is_large_enough_and_generations_share_their_prompts():
    assert len(conditions(ROOT / "configs/grid.yaml")) >= 234
    plan = book_of(ROOT / "configs/generations.yaml").plan
    prompts = {frozenset(c.prompt_digest for c in plan.of_model(m)) for m in plan.models}
    assert len(plan.models) >= 5
    assert len(prompts) == 1


def test_quickstart_is_small_enough_for_a_small_model():
    path = ROOT / "configs/quickstart.yaml"
    assert (len(conditions(path)), book_of(path).plan.jobs) == (2, 16)
    both = ["".join(texts(path, cell)) for cell in conditions(path)]
    assert max(len(t) for t in both) < 350 * 3
    common = next(i for i, (a, b) in enumerate(zip(*both, strict=False)) if a != b)
    assert common > 0.7 * len(both[0])


def test_shipped_prompts_are_the_golden_ones():
    """A changed text is a new prompt: rows before and after must not be pooled."""
    assert shipped_digests() == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    print(json.dumps(shipped_digests(), indent=1))
