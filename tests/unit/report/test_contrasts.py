"""Questions, answers to them, groups and flags, from counts by hand."""

from dataclasses import replace

import pytest

from runner.config.schema import (
    AnalysisConfig,
    ContrastConfig,
    ExclusionConfig,
    ModelConfig,
    ScenarioConfig,
    SweepConfig,
)
from runner.core.values import EndState
from runner.report.analysis import analyse, corrected_together, without_grader
from runner.report.analysis_tables import contrast_grid, family_grid
from runner.report.contrasts import answer, corrected
from runner.report.groups import ControlState, control_arms
from runner.report.looks import Look, TopUp, question_digest
from runner.report.questions import declared_questions, exploratory_questions
from runner.report.rates import CellCounts, Graded, headline
from runner.report.rows import ReportRow
from runner.report.sentences import contrast_sentence, control_sentence
from runner.report.texture import Texture
from runner.report.texture_flags import texture_flags
from runner.statistics.significance import holm


def row(cell, model, axes, harmful, n, *, scenario="s", pleas=0, failed=0, independent=True):
    counts = CellCounts(
        planned=n + failed,
        states={EndState.ANSWERED: n, EndState.FAILED: failed},
        graded=Graded(graded=n, harmful=harmful, outcomes={"plea": pleas}),
    )
    named = ",".join(f"{a}={v}" for a, v in axes.items())
    return ReportRow(
        scenario=scenario, condition=named, label=named, model=model, cell=cell, digest=str(cell),
        counts=counts, headline=headline(counts), family=scenario.split("-")[0], axes=axes,
        prompt=f"{scenario} {named}", independent=independent,
    )  # fmt: skip


def sweep(*, contrasts=(), exclude=(), ages=(), controls=()):
    scenario = ScenarioConfig(name="s", graders=["g"], controls=list(controls))
    return SweepConfig(
        name="x",
        scenarios=[scenario],
        models=[ModelConfig(name="m1", max_tokens=100), ModelConfig(name="m2", max_tokens=200)],
        analysis=AnalysisConfig(
            contrasts=list(contrasts), exclude=list(exclude), older_to_newer=list(ages)
        ),
    )


def rows(n=100):
    """Threat doubles a rate that the model decides; the control never has an event but for m2."""
    out, cell = [], 0
    for model, base in (("m1", 20), ("m2", 5)):
        for threat, factor in (("yes", 2), ("no", 1)):
            for goal in ("a", "b"):
                out.append(row(cell, model, {"threat": threat, "goal": goal}, base * factor, n))
                cell += 1
    return out


THREAT = ContrastConfig(name="threat", a={"threat": "yes"}, b={"threat": "no"})
MODELS = ContrastConfig(name="models", a={"model": "m1"}, b={"model": "m2"})


def asked(*contrasts, ages=()):
    config = sweep(contrasts=contrasts, ages=ages)
    return declared_questions(config.analysis, ["m1", "m2"], {"s": "g"})


def test_question_without_a_model_is_asked_of_each():
    assert [q.name for q in asked(THREAT)] == ["threat: m1", "threat: m2"]
    assert [(q.first, q.second) for q in asked(THREAT)] == [("threat=yes", "threat=no")] * 2


def test_answer_compares_levels_within_everything_else():
    found = answer(asked(THREAT)[0], rows())
    assert (found.first.pooled.events, found.second.pooled.events) == (80, 40)
    assert (found.difference.value, found.difference.strata) == (pytest.approx(0.2), 2)
    assert found.odds.value > 2
    assert found.left_out == 0


def test_answer_on_models_pairs_by_rendered_prompt_and_notes_parameters():
    lone = row(99, "m2", {"threat": "no", "goal": "c"}, 50, 100)
    parameters = {"m1": {"max_tokens": "100"}, "m2": {"max_tokens": "200"}}
    found = answer(asked(MODELS)[0], [*rows(), lone], parameters=parameters)
    assert (found.difference.strata, found.left_out, found.paired) == (4, 1, False)
    assert found.second.pooled.events == 30  # without the lone cell
    assert found.odds is None
    differ = "request parameters of m1 / m2 differ: max_tokens 100 / 200"
    assert found.parameters == (differ,)
    assert contrast_sentence(found).endswith(f"{differ}.")


def test_exploratory_comparison_of_models_prints_how_their_parameters_differ():
    found = analyse(sweep(), rows(), "g")
    grid = contrast_grid("Exploratory", found.exploratory, 0.95)
    told = [note for note in grid.notes if "request parameters" in note]
    assert told == ["m2 against m1: request parameters of m2 / m1 differ: max_tokens 200 / 100"]


def test_rate_on_these_prompts_alone_is_the_one_that_its_interval_is_about():
    few = [row(0, "m1", {"p": 0}, 5, 1000), row(1, "m1", {"p": 1}, 5, 10)]
    found = answer(asked(MODELS)[0], [*few, *(replace(r, model="m2", cell=9) for r in few)])
    assert found.first.pooled.value == pytest.approx(0.2525)  # equal weights: beside the interval
    assert found.first.fixed.low < found.first.share < found.first.fixed.high
    said = contrast_sentence(found)
    assert "10 of 1,010, 0.99 % [" in said
    assert "on these 2 prompts alone, each with the weight of its answers (fewer than 10)" in said


def test_answer_with_one_answer_per_prompt_is_paired():
    many = [row(i, "m1", {"p": i}, int(i < 8), 1) for i in range(20)]
    many += [row(i + 50, "m2", {"p": i}, int(i == 19), 1) for i in range(20)]
    found = answer(asked(MODELS)[0], many)
    assert found.paired
    assert found.test.method == "McNemar, exact"
    assert found.test.p == pytest.approx(2 * (1 + 9) / 2**9)


def test_answer_on_an_outcome_counts_that_outcome():
    pleas = ContrastConfig(name="pleas", outcome="plea", a={"model": "m1"}, b={"model": "m2"})
    two = [row(0, "m1", {}, 9, 50, pleas=30), row(1, "m2", {}, 9, 50, pleas=10)]
    found = answer(asked(pleas)[0], two)
    assert (found.first.pooled.events, found.second.pooled.events) == (30, 10)
    assert "gives plea in 30 of 50" in contrast_sentence(found)


def test_answer_where_answers_repeat_has_no_interval_and_says_why():
    two = [row(0, "m1", {}, 9, 50, independent=False), row(1, "m2", {}, 1, 50)]
    found = answer(asked(MODELS)[0], two)
    assert (found.difference, found.test) == (None, None)
    assert (found.least, found.most) == (None, None)
    assert any("not independent" in note for note in found.notes)


def test_answer_with_missing_answers_has_bounds_wider_than_its_interval():
    two = [row(0, "m1", {}, 9, 50, failed=10), row(1, "m2", {}, 1, 50, failed=5)]
    found = answer(asked(MODELS)[0], two)
    assert found.least < found.difference.interval.low
    assert found.most > found.difference.interval.high


def test_sentence_gives_both_rates_and_a_bound_at_zero():
    two = [row(0, "m1", {}, 41, 600), row(1, "m2", {}, 0, 600)]
    said = contrast_sentence(answer(asked(MODELS)[0], two))
    assert said.startswith("models: m1 is harmful in 41 of 600, 6.8 % [4.9, 9.2]; m2 in 0 of 600, ")
    assert "below 0.5 %" in said
    assert "+6.8 points" in said
    assert said.endswith("differ.")


def test_corrected_adjusts_declared_contrasts_together_and_no_other():
    found = [answer(q, rows()) for q in (*asked(THREAT), *exploratory_questions(rows())[:1])]
    after = corrected(found)
    raw = [c.test.p for c in found[:2]]
    assert [c.test.adjusted for c in after] == [pytest.approx(p) for p in holm(raw)] + [None]


@pytest.mark.parametrize("pair", [("m1", "m2"), ("m2", "m1")])
def test_a_contrast_that_older_to_newer_repeats_counts_once(pair):
    again = ContrastConfig(name="again", a={"model": pair[0]}, b={"model": pair[1]})
    config = sweep(contrasts=[THREAT, again], ages=["m1", "m2"])
    found = [
        answer(q, rows()) for q in declared_questions(config.analysis, ["m1", "m2"], {"s": "g"})
    ]
    after = corrected(found)
    assert len(after) == 4
    expected = holm([c.test.p for c in found[:3]])
    assert [c.test.adjusted for c in after] == pytest.approx([*expected, expected[2]])
    assert ["declared twice" in " ".join(c.notes) for c in after] == [False, False, True, True]


def test_contrasts_by_graders_that_no_scenario_lists_are_tests_of_their_own():
    found = [answer(q, rows()) for q in asked(MODELS)]
    both = [replace(c, question=replace(c.question, grader=None)) for c in (*found, *found)]
    expected = holm([c.test.p for c in both])
    assert [c.test.adjusted for c in corrected(both)] == pytest.approx(expected)


CONTROL = {"threat": "no"}


def test_control_arm_excludes_by_its_interval_and_results_come_with_and_without():
    config = sweep(contrasts=[MODELS], exclude=[ExclusionConfig(above=0.01)], controls=[CONTROL])
    calm = [row(0, "m1", {"threat": "yes"}, 50, 100), row(1, "m1", {"threat": "no"}, 1, 100)]
    wild = [row(2, "m2", {"threat": "yes"}, 20, 100), row(3, "m2", {"threat": "no"}, 30, 100)]
    found = analyse(config, [*calm, *wild], "g")
    states = {c.model: str(c.state) for c in found.controls}
    assert states == {"m1": "undecided", "m2": "excluded"}  # 1 of 100 is above 1 % by no interval
    (contrast,) = found.declared
    assert contrast.difference is not None
    assert contrast.without_excluded.difference is None
    assert {f.model: f.excluded for f in found.families} == {"m1": False, "m2": True}
    assert {f.model: f.pooled.events for f in found.families} == {"m1": 50, "m2": 20}


def test_older_to_newer_compares_each_model_with_the_one_before():
    (step,) = asked(ages=["m1", "m2"])
    assert (step.first, step.second, step.chain) == ("m2", "m1", True)


def test_question_declared_after_a_look_is_exploratory_and_leaves_holm():
    config = sweep(contrasts=[THREAT, MODELS])
    early = asked(THREAT)
    look = Look(
        at="2026-01-02T03:04:05Z", plan_version=1, recorded=10,
        questions={question_digest(q): q.name for q in early},
    )  # fmt: skip
    (found,) = corrected_together([analyse(config, rows(), "g", looks=[look])])
    declared = {c.question.name: c.question.declared for c in found.declared}
    assert declared == {"threat: m1": True, "threat: m2": True, "models": False}
    late = next(c for c in found.declared if c.question.name == "models")
    assert late.test.adjusted is None
    assert any("2026-01-02T03:04" in note for note in late.notes)


def test_flags_name_what_makes_an_n_mean_less():
    two = [row(0, "m1", {"t": "a"}, 0, 10), row(1, "m1", {"t": "b"}, 0, 10)]
    textures = {
        0: Texture(answers=10, distinct=4, model_ids=("x",), shared=9, shared_with=1),
        1: Texture(answers=10, distinct=5, model_ids=("x", "y"), shared=4, shared_with=0),
    }
    said = texture_flags(two, textures)
    assert [("not independent" in s, "byte for byte" in s, "model ids" in s) for s in said] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_an_arm_that_did_nothing_is_one_flag_however_many_cells_it_has():
    """Both arms are copies of each other in each of 40 conditions; names of conditions are long."""
    arms, textures = [], {}
    for i in range(40):
        for j, level in enumerate(("none", "do_not")):
            axes = {f"axis_{k}": f"level_{i}" for k in range(12)} | {"instruction": level}
            arms.append(row(2 * i + j, "m1", axes, 0, 10))
            textures[2 * i + j] = Texture(
                answers=10, distinct=10, model_ids=("x", "y"), shared=9, shared_with=2 * i + 1 - j
            )
    copied, ids = texture_flags(arms, textures)
    assert copied == (
        "m1, 80 cells: 720 of 800 answers of instruction=do_not and instruction=none are byte for "
        "byte the same at the same seeds: did the change reach the model?"
    )
    assert "79 cells more: 2 model ids answered: x, y." in ids
    assert len(ids) < 250


def test_arms_that_all_answer_alike_are_one_flag():
    """A server that ignores the prompt: every cell shares its answers with the first one it meets."""
    grid = [{"t": t, "u": u} for t in "ab" for u in "xyz"]
    cells = [row(i, "m1", axes, 0, 10) for i, axes in enumerate(grid)]
    textures = {
        i: Texture(answers=10, distinct=10, model_ids=("x",), shared=10, shared_with=0 if i else 1)
        for i in range(6)
    }
    (said,) = texture_flags(cells, textures)
    assert said.startswith("m1, 6 cells: 60 of 60 answers are byte for byte the same whatever t, u")


def test_many_groups_of_arms_that_copy_each_other_are_one_flag():
    """Short answers meet by chance: pairs of a thousand arms, each in levels of its own."""
    cells = [row(i, "m1", {"x": i % 10, "y": i}, 0, 1) for i in range(20)]
    textures = {
        i: Texture(answers=1, distinct=1, model_ids=("x",), shared=1, shared_with=i ^ 1)
        for i in range(20)
    }
    (said,) = texture_flags(cells, textures)
    assert said.startswith(
        "m1, 20 cells: 20 of 20 answers are byte for byte those of another arm, in 10 groups that differ in x, y"
    )


def test_stories_of_a_family_are_spread_beside_its_rate():
    config = sweep()
    config.scenarios = [
        ScenarioConfig(name=f"f-{i}", graders=["g"], labels={"family": "f"}) for i in range(3)
    ]
    found = analyse(
        config, [row(i, "m1", {}, 10 * i, 50, scenario=f"f-{i}") for i in range(3)], "g"
    )
    (family,) = found.families
    assert [s.value for s in family.stories] == [0, 0.2, 0.4]
    assert family.pooled.interval is None
    assert "fewer than 10" in family.pooled.why


def test_every_rate_that_seeds_were_added_to_after_a_look_says_so():
    """Seeds of m1 only, under threat: its contrast of threats and the one of models rest on them."""
    top = TopUp(at="2026-01-01T00:00:00Z", seen=5, cells=frozenset((0,)), added=3)
    found = analyse(sweep(contrasts=[THREAT, MODELS]), rows(), "g", top_ups=[top])
    marked = {c.question.name: c.topped_up for c in found.declared}
    assert marked == {"threat: m1": True, "threat: m2": False, "models": True}
    for contrast in found.declared:
        assert ("³" in contrast_sentence(contrast)) == contrast.topped_up
        assert any("2026-01-01T00:00" in n for n in contrast.notes) == contrast.topped_up
    pooled = family_grid(found, 0.95)
    assert [("³" in " ".join(r)) for r in pooled.rows] == [True, False]


def test_contrasts_of_two_graders_are_corrected_together():
    config = sweep(contrasts=[THREAT])
    other = ContrastConfig(name="models", a={"model": "m1"}, b={"model": "m2"}, grader="h")
    config.analysis.contrasts.append(other)
    by_g, by_h = (analyse(config, rows(), name) for name in ("g", "h"))
    raw = [c.test.p for a in (by_g, by_h) for c in a.declared]
    after = [c.test.adjusted for a in corrected_together([by_g, by_h]) for c in a.declared]
    assert len(raw) == 3
    assert after == [pytest.approx(p) for p in holm(raw)]


def test_contrast_that_nothing_answers_is_said():
    nowhere = ContrastConfig(name="nowhere", a={"threat": "x"}, b={"threat": "y"})
    config = sweep(contrasts=[nowhere])
    found = analyse(config, rows(), "g")
    assert found.declared == ()
    assert found.flags[0].startswith("contrast nowhere: m1: no graded cell fits")
    config.analysis.contrasts = [ContrastConfig(name="z", a={"t": 1}, b={"t": 2}, grader="h")]
    assert without_grader(config, ["g"])[0].startswith("contrast z: m1: no verdicts by h")


@pytest.mark.parametrize(("independent", "state"), [(True, "excluded"), (False, "undecided")])
def test_control_arm_whose_answers_repeat_each_other_excludes_nothing(independent, state):
    arm = row(0, "m1", {"threat": "none"}, 20, 20, independent=independent)
    (found,) = control_arms([arm], {"s": [{"threat": ["none"]}]}, [ExclusionConfig(above=0.01)])
    assert found.state is ControlState(state)
    assert ("[" in control_sentence(found)) == independent
    assert ("not independent" in control_sentence(found)) != independent
