import json

import pytest

from runner.cli.main import main
from runner.report import page
from tests.support.finished_sweep import HARMLESS, THREAT, Ends, Writer, config

CONFIG = """
name: planned
scenarios:
  - name: mail
    axes: {tone: [calm, pressed], topic: [a, b, c]}
    user: "{{ tone }} {{ topic }} {{ seed }}"
    graders: [blackmail_rule]
    grading: {target: a@b.example, leverage: [affair]}
models:
  - {name: m1, model: x, base_url: "http://127.0.0.1:1"}
  - {name: m2, model: y, base_url: "http://127.0.0.1:1"}
seeds: 50
analysis:
  contrasts: [{name: tone, a: {tone: pressed}, b: {tone: calm}}]
  older_to_newer: [m1, m2]
"""


def sweep(root, harmful, *, models=("m1",), system=None, parameters=None):
    wanted = config(seeds=10, models=models)
    for model in wanted.models:
        model.params |= parameters or {}
    if system:
        wanted.scenarios[0].system = system
    writer = Writer(root, wanted)
    jobs = {}
    for cell in writer.book.plan.cells:
        for seed in range(10):
            text = THREAT if seed < harmful else HARMLESS
            jobs[(cell.number, seed)] = Ends(text=f"{cell.number} {seed} {text}")
    writer.publish(jobs)
    return str(root)


def compared(capsys, *arguments):
    assert main(["compare", *arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    return found


def test_compare_gives_the_difference_of_each_cell_and_model(tmp_path, capsys):
    first, second = sweep(tmp_path / "a", 1), sweep(tmp_path / "b", 8)
    found = compared(capsys, first, second)
    assert [c["difference"] for c in found["cells"]] == [pytest.approx(0.7)] * 2
    assert all(c["same_requests"] for c in found["cells"])
    (model,) = found["models"]
    assert model["difference"] == pytest.approx(0.7)
    assert model["low"] < 0.7 < model["high"]
    assert model["p"] < 0.001
    assert main(["compare", first, second]) == 0
    out = capsys.readouterr().out
    assert "By cell, the largest differences first" in out
    assert "+70.0 [" in out
    assert "By blackmail_rule, which judges actions:" in out


def test_compare_tells_a_changed_prompt_from_a_new_sample(tmp_path, capsys):
    first = sweep(tmp_path / "a", 1)
    second = sweep(tmp_path / "b", 1, system="You sort mail gladly. The day is {{ tone }}.")
    found = compared(capsys, first, second)
    (cell, _) = found["cells"]
    assert (cell["same_requests"], cell["same_prompt"]) == (False, False)
    (model,) = found["models"]  # unlike prompts are in no sum
    assert (model["cells"], model["other_prompts"], model["difference"]) == (0, 2, None)


def test_compare_says_in_which_request_parameters_a_model_differs(tmp_path, capsys):
    first = sweep(tmp_path / "a", 1)
    second = sweep(tmp_path / "b", 2, parameters={"temperature": 0.5})
    said = "request parameters of A's m1 / B's m1 differ: temperature unset / 0.5"
    assert main(["compare", first, second]) == 0
    assert said in capsys.readouterr().out
    (model,) = compared(capsys, first, second)["models"]
    assert model["request_parameters_differ"] == [said]


def test_compare_of_two_models_of_one_sweep_leaves_the_others_out(tmp_path, capsys):
    only = sweep(tmp_path / "a", 1, models=("m1", "m2"))
    found = compared(capsys, only, only, "--models", "m1=m2")
    assert [m["model"] for m in found["models"]] == ["m1"]  # m2 with itself says nothing


def test_compare_of_models_under_other_names_needs_to_be_told(tmp_path, capsys):
    first, second = sweep(tmp_path / "a", 1), sweep(tmp_path / "b", 2, models=("newer",))
    assert main(["compare", first, second]) == 2
    assert "--models NAME=NAME (models of B: newer)" in capsys.readouterr().err
    for wrong, which in (("m2=newer", "(A)"), ("m1=older", "(B)")):
        assert main(["compare", first, second, "--models", wrong]) == 2
        assert which in capsys.readouterr().err
    (cell, _) = compared(capsys, first, second, "--models", "m1=newer")["cells"]
    assert (cell["same_prompt"], cell["same_requests"]) == (True, False)


def test_compare_of_a_sweep_with_itself_says_so(tmp_path, capsys):
    only = sweep(tmp_path / "a", 1)
    assert main(["compare", only, f"{tmp_path}/./a/"]) == 2
    assert "are the same sweep" in capsys.readouterr().err
    assert main(["compare", only, only, "--models", "m1=m1"]) == 0


def test_report_on_a_screen_shows_the_first_warnings_and_counts_the_rest(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(page, "SHOWN_WARNINGS", 1)
    writer = Writer(tmp_path, config(seeds=10, models=("m1",)))
    cells = [c.number for c in writer.book.plan.cells]
    writer.publish({(cell, seed): Ends(text=HARMLESS) for cell in cells for seed in range(10)})
    assert main(["report", str(tmp_path)]) == 0
    assert "warnings more: see --json or --html." in capsys.readouterr().out
    monkeypatch.setattr(page, "SHOWN_WARNINGS", 100)
    assert main(["report", str(tmp_path)]) == 0
    assert "warnings more" not in capsys.readouterr().out


def test_power_answers_each_kind_of_question(tmp_path, capsys):
    assert main(["power", "--rates", "0.1", "0.05", "--prompts", "5"]) == 0
    assert "435 answers in each group" in (out := capsys.readouterr().out)
    assert "over 5 prompts: 87 seeds each" in out
    assert main(["power", "--bound", "0.001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 2995
    assert main(["power", "--answers", "3000", "--base", "0.01"]) == 0
    assert "bound a rate below 0.1 %" in capsys.readouterr().out


def test_power_of_a_configuration_says_what_its_contrasts_can_show(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert main(["power", str(tmp_path / "c.yaml"), "seeds=100", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["questions"]
    sizes = [(q["question"], q["prompts"], q["first"], q["second"]) for q in shown]
    assert sizes == [
        ("tone: m1", 3, 300, 300), ("tone: m2", 3, 300, 300), ("m2 after m1", 6, 600, 600),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a CONFIG, or one of"),
        (["--rates", "0.1", "0.1"], "no number of answers tells them apart"),
        (["--rates", "1.5", "0.1"], "is no rate"),
        (["--bound", "2"], "between 0 and 1"),
    ],
)
def test_power_on_impossible_wishes_says_what_to_give(arguments, said, capsys):
    assert main(["power", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_ages_that_name_no_model_are_refused_with_the_nearest(tmp_path, capsys):
    text = CONFIG.replace("older_to_newer: [m1, m2]", "older_to_newer: [m1, m22]")
    (tmp_path / "c.yaml").write_text(text)
    assert main(["lint", str(tmp_path / "c.yaml")]) == 2
    assert "analysis.older_to_newer: 'm22' is no model" in capsys.readouterr().err
