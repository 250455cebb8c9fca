"""Bad configurations end in 2, say what, where and what to do, and start nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commands import Bench, no_traceback
from tests.support.standin import StandIn


def _scenario(**keys: Any) -> dict[str, Any]:
    return {"name": "tone", "axes": {"tone": ["a", "b"]}, "user": "{{ tone }} {{ seed }}"} | keys


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"zeeds": 3}, "c.yaml:23  zeeds: unknown key. Did you mean seeds?"),
    "scenario file is missing": (
        {"scenarios": [{"path": "x.yaml"}]},
        "scenarios[0].path: no such file: x.yaml",
    ),
    "undefined variable": (
        {"scenarios": [_scenario(user="{{ topik }} {{ tone }}")]},
        "scenarios.tone.user: variable 'topik' is not defined (defined here: seed, tone)",
    ),
    "empty axis": (
        {"scenarios": [_scenario(axes={"tone": []})]},
        "scenarios.tone.axes.tone: the axis has no level. Add one, or remove the axis.",
    ),
    "nothing left": (
        {"scenarios": [_scenario(exclude=[{"tone": "a"}, {"tone": "b"}])]},
        "scenarios.tone.exclude: include and exclude leave no condition",
    ),
    "scenarios of one name": (
        {"scenarios": [_scenario(), _scenario(user="another {{ tone }} {{ seed }}")]},
        "scenarios.tone: a second one of this name (the first: c.yaml:3). Rename one.",
    ),
    "one scenario under two names": (
        {"scenarios": [_scenario(), _scenario(name="again")]},
        "are the same requests under two names (equal digests)",
    ),
    "unknown grader": ({"scenarios": [_scenario(graders=["blackmial_rule"])]}, "blackmial_rule"),
    "no seed": ({"seeds": 0}, "seeds: a count lies in 1…2147483648, not 0."),
    "seeds below nought": ({"seeds": [-1, 2]}, "seeds: seeds lie in 0…2147483647"),
    "seeds in words": ({"seeds": "many"}, "seeds: 'many' is no seed and no range."),
    "no models": ({"models": []}, "models"),
}


@pytest.mark.parametrize("case", CASES)
def test_configuration_that_cannot_be_used_is_refused(
    bench: Bench, api: StandIn, case: str
) -> None:
    keys, says = CASES[case]
    bench.write(**keys)
    ended = bench.run("sweep", "c.yaml")
    no_traceback(ended)
    assert ended.code == 2, ended
    assert says in ended.err
    assert ended.err.splitlines()[0].startswith("c.yaml:")
    assert ended.err.endswith("nothing was started.\n")
    assert ended.out == ""
    assert [p.name for p in bench.folder.iterdir()] == ["c.yaml"]
    assert api.stats()["total"] == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"max_tokenz": 3}, "models.m.max_tokenz: unknown key. Did you mean max_tokens?"),
        ({"provider": "antropic"}, "models.m.provider"),
        ({"base_url": "ftp://x"}, "models.m.base_url: is no address."),
        ({"base_url": "http://u:p@x/v1"}, "models.m.base_url: carries a user or password."),
        ({"api_key_env": "NOT_SET_HERE"}, "the environment variable NOT_SET_HERE is not set"),
        ({"api_key_env": "BAD_KEY"}, "the value of BAD_KEY holds spaces, line breaks"),
        ({"params": {"stream": True}}, "models.m.params.stream"),
        (
            {"provider": "anthropic", "stream": "never", "max_tokens": 21_334},
            "models.m.stream: answers of up to 21,334 tokens may take 600 s",
        ),
    ],
    ids=["key", "provider", "scheme", "password", "variable", "space", "params", "plain"],
)
def test_model_that_cannot_be_called_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv("BAD_KEY", "sk planted\n")
    bench.write(models=[bench.model(**changed)])
    ended = bench.run("sweep", "c.yaml")
    no_traceback(ended)
    assert ended.code == 2, ended
    assert says in ended.err
    assert "sk planted" not in ended.text
    assert not bench.sweep.exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"name: [\n", "c.yaml:2: not YAML"),
        (b"\xff\xfe\x00", "c.yaml: is not UTF-8 text."),
        (b"", "c.yaml:1: no mapping."),
        (b"- 1\n", "c.yaml:1: no mapping."),
        (None, "c.yaml: no such file. Give the path of a configuration."),
    ],
    ids=["torn", "binary", "empty", "list", "missing"],
)
def test_file_that_is_no_configuration_is_named(
    bench: Bench, data: bytes | None, says: str
) -> None:
    if data is not None:
        (bench.folder / "c.yaml").write_bytes(data)
    for command in ("sweep", "plan", "lint", "try", "doctor", "show"):
        ended = bench.run(command, "c.yaml")
        no_traceback(ended)
        assert ended.code == 2, command
        assert says in ended.err or command == "show"


def test_every_problem_is_said_at_once(bench: Bench) -> None:
    bench.write(seeds=0, zeeds=1, models=[bench.model(max_tokenz=3)])
    ended = bench.run("sweep", "c.yaml", "models.nobody.max_tokens=1")
    assert ended.code == 2
    assert ended.err.endswith("4 problems, nothing was started.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a command"),
        (["swep"], "'swep' is no command. Did you mean sweep?"),
        (["sweep"], "required: CONFIG"),
        (["sweep", "c.yaml", "--supersed"], "Did you mean --supersede?"),
        (["sweep", "c.yaml", "--workers", "0"], "'0' is no whole number from 1"),
        (["sweep", "c.yaml", "seeds"], "not of the form key=value"),
        (["try", "c.yaml", "--only", "tone"], "--only takes AXIS=LEVEL"),
        (["report", "nowhere", "--level", "95"], "between 0 and 1"),
    ],
    ids=["none", "typo", "no file", "option", "workers", "override", "only", "level"],
)
def test_command_line_that_cannot_be_used_says_what_would_be(
    bench: Bench, arguments: list[str], says: str
) -> None:
    bench.write()
    ended = bench.run(*arguments)
    no_traceback(ended)
    assert ended.code == 2
    assert says in ended.err


@pytest.mark.parametrize(
    "command", ["resume", "status", "report", "verify", "compact", "stop", "show"]
)
@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "nothing"])
def test_directory_without_a_sweep_is_said_to_be_none(
    bench: Bench, command: str, there: bool
) -> None:
    if there:
        (bench.folder / "d").mkdir()
    ended = bench.run(command, "d")
    no_traceback(ended)
    assert ended.code == (2 if command == "show" and not there else 3), ended
    assert ended.err.startswith("d: ")
    assert [p.name for p in bench.folder.rglob("*")] == (["d"] if there else [])
