"""plan, lint and doctor on good and bad input, in this process."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from runner.cli.main import main
from runner.pipeline.checkup import examine_output
from runner.record.place import Place
from tests.support.standin import StandIn

GOOD = """\
name: n
scenarios:
- name: tone
  user: "{{ tone }} ({{ seed }})"
  axes: {tone: [polite, blunt]}
models:
- {name: m, provider: openai, model: x, base_url: "http://127.0.0.1:1/v1", max_tokens: 100}
seeds: 3
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    return path


def report(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_plan_counts_and_names_what_comes_next(config, capsys):
    assert main(["plan", str(config)]) == 0
    out = capsys.readouterr().out
    assert "n   2 conditions × 1 model × 3 seeds = 6 jobs in 2 cells" in out
    assert "outputs/n: recorded 0 · owed 6" in out
    assert "next: runner try" in out


def test_plan_as_json_says_the_same(config, capsys):
    assert main(["plan", str(config), "seeds=5", "--json"]) == 0
    plan = report(capsys)
    assert (plan["planned"], plan["owed"], plan["recorded"], plan["cells"]) == (10, 10, 0, 2)
    (model,) = plan["models"]
    assert (model["jobs"], model["calls"], model["output_tokens_ceiling"]) == (10, 10, 1000)


JUDGED = """
  graders: [fair]
graders:
- {name: fair, kind: judge, model: j, version: 1, votes: 2, rubric: "Is it fair?", outcomes: [
    {outcome: fair, means: yes it is}, {outcome: unfair, means: it is not, harmful: true}]}
judges:
- {name: j, provider: openai, model: y, base_url: "http://127.0.0.1:1/v1", max_tokens: 50}
prices: {j: {input: 1, output: 2}}
"""


def test_plan_shows_judges_apart_from_the_sweeps_total(config, capsys):
    given = GOOD.replace("blunt]}\n", "blunt]}" + JUDGED)
    config.write_text(given)
    assert main(["plan", str(config), "--json"]) == 0
    model, judge = report(capsys)["models"]
    assert (model["purpose"], judge["model"], judge["purpose"]) == ("under test", "j", "judge")
    assert (judge["calls"], judge["output_tokens"]) == (2 * 6, 2 * 6 * 50)
    assert main(["plan", str(config)]) == 0
    out = capsys.readouterr().out
    assert "j (judge)" in out
    assert "not in the total" in out


def test_plan_writes_nothing(config, capsys):
    main(["plan", str(config)])
    assert [p.name for p in config.parent.iterdir()] == ["c.yaml"]


def test_plan_with_bad_input_ends_in_2_and_starts_nothing(config, capsys):
    assert main(["plan", str(config), "seeds=0", "models.m.max_tokenz=1"]) == 2
    err = capsys.readouterr().err
    assert "models.m.max_tokenz: unknown key. Did you mean max_tokens?" in err
    assert "seeds: a count lies in" in err
    assert err.endswith("2 problems, nothing was started.\n")


def test_undefined_variable_is_named_with_file_and_line(config, capsys):
    config.write_text(GOOD.replace("{{ tone }} (", "{{ topik }} ("))
    assert main(["plan", str(config)]) == 2
    err = capsys.readouterr().err
    assert "c.yaml:4  scenarios.tone.user: " in err
    assert "topik" in err


def test_lint_when_all_is_well_says_so(config, capsys):
    assert main(["lint", str(config)]) == 0
    assert capsys.readouterr().out.endswith("c.yaml: 0 errors, 0 warnings\n")


@pytest.mark.parametrize("command", ["plan", "sweep", "try", "lint"])
def test_unknown_grader_is_refused_before_anything_is_spent(config, capsys, command):
    config.write_text(GOOD.replace("  axes:", "  graders: [blackmial_rule]\n  axes:"))
    assert main([command, str(config)]) == 2
    said = "".join(capsys.readouterr())
    assert (
        "scenarios.tone.graders: 'blackmial_rule' is unknown. Did you mean blackmail_rule?" in said
    )
    assert [p.name for p in config.parent.iterdir()] == ["c.yaml"]


def test_lint_finds_what_scenarios_providers_and_graders_refuse(config, capsys):
    config.write_text(
        GOOD.replace("max_tokens: 100", "params: {stream: true}").replace(
            "  axes:", "  graders: [blackmial]\n  axes:"
        )
    )
    assert main(["lint", str(config), "--json"]) == 2
    keys = {finding["key"] for finding in report(capsys)}
    assert keys == {"models.m.params.stream"}
    assert main(["lint", str(config), "models.m.params={}"]) == 2
    assert "blackmial" in capsys.readouterr().out


def test_doctor_without_configuration_checks_the_machine(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main(["doctor", "--json"])
    findings = {f["check"]: f for f in report(capsys)}
    assert set(findings) == {"Python", "libraries", "Ray"}
    assert findings["Ray"]["ok"]


def test_doctor_names_the_key_variable_that_is_not_set(config, capsys, monkeypatch):
    monkeypatch.delenv("PLANTED_KEY", raising=False)
    assert main(["doctor", str(config), "models.m.api_key_env=PLANTED_KEY", "--json"]) == 2
    finding = next(f for f in report(capsys) if f["check"] == "model m")
    assert not finding["ok"]
    assert "PLANTED_KEY is not set" in finding["fix"]


def test_doctor_says_that_a_server_is_not_there(config, capsys):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    url = f"models.m.base_url=http://127.0.0.1:{port}/v1"
    assert main(["doctor", str(config), url, "--json"]) == 2
    finding = next(f for f in report(capsys) if f["check"] == "model m")
    assert finding["found"].startswith(f"no connection to 127.0.0.1:{port}")
    assert "models.m.base_url" in finding["fix"]


def test_doctor_asks_a_server_without_a_model_call_unless_told_to(config, capsys, monkeypatch):
    monkeypatch.setenv("PLANTED_KEY", "sk-planted-0123456789")
    with StandIn() as server:
        url = f"models.m.base_url={server.url}/v1"
        arguments = ["doctor", str(config), url, "models.m.api_key_env=PLANTED_KEY", "--json"]
        main(arguments)
        first = capsys.readouterr().out
        assert server.stats()["total"] == 0
        main([*arguments, "--call"])
        second = capsys.readouterr().out
        assert server.stats()["answered"] == 1
    assert "sk-planted" not in first + second
    finding = next(f for f in json.loads(second) if f["check"] == "model m")
    assert (finding["ok"], finding["found"]) == (True, "answered as x")


def test_doctor_says_that_the_output_cannot_be_written(config, capsys):
    (config.parent / "outputs").write_text("a file where a folder should be")
    assert main(["doctor", str(config), "--json"]) == 2
    finding = next(f for f in report(capsys) if f["check"].startswith("output"))
    assert not finding["ok"]
    assert "Choose another `output`" in finding["fix"]


@pytest.mark.s3
def test_doctor_tries_a_bucket_with_the_credentials_of_the_environment(
    config, capsys, monkeypatch, s3_url
):
    def found(output):
        finding = asyncio.run(examine_output(Place(output)))
        return finding.ok, finding.found

    main(["doctor", str(config), f"output={s3_url}", "--json"])
    finding = next(f for f in report(capsys) if f["check"] == f"output {s3_url}")
    assert finding["found"] == "can be written, and honours conditional puts"
    ok, said = found("s3://never-made/x")
    assert (ok, "no such bucket" in said) == (False, True)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ok, said = found(s3_url)
    assert (ok, "Check the credentials" in said) == (False, True)
