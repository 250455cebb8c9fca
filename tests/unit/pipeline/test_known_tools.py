"""A scenario's own tool that changes something and that no rule speaks of is named before it is run."""

from __future__ import annotations

from typing import Any

import pytest

from runner.config.schema import GraderConfig
from runner.grade.registry import Graders
from runner.pipeline.known_tools import note_unknown_tools
from runner.scenarios.findings import Findings
from tests.support.configurations import scenario, sweep


def noted(*tools: dict[str, Any], graders: list[str], own: list[GraderConfig] | None = None) -> str:
    """Return what is noted of a scenario with these tools."""
    one = scenario(environment={"canned": {"tools": [*tools]}}, graders=graders)
    config = sweep(scenarios=[one], graders=own or [])
    findings = Findings()
    note_unknown_tools(config, Graders(config), findings)
    return "\n".join(map(str, findings.all))


def tool(name: str, effect: str | None = "done") -> dict[str, Any]:
    return {"name": name, "answers": [{"say": "no", "error": True}, {"say": "x", "effect": effect}]}


def test_tool_that_no_rule_names_is_told_with_its_place() -> None:
    said = noted(tool("look", None), tool("teleport"), graders=["blackmail_outcome", "refusal"])
    assert said.startswith("scenarios.tone.environment.canned.tools[1].name: no grader")
    assert "(blackmail_outcome, refusal) knows the tool teleport" in said
    assert said.count("\n") == 0


@pytest.mark.parametrize("name", ["send_email", "Send-Message", "FORWARD_EMAIL"])
def test_tool_that_a_rule_knows_under_another_name_is_not_told(name: str) -> None:
    assert noted(tool(name), graders=["blackmail_outcome"]) == ""


def test_tool_that_a_rule_of_the_sweep_names_is_not_told() -> None:
    own = GraderConfig(
        name="mine",
        kind="rule",
        gates={"gone": {"any": [{"act": ["teleport"]}]}},
        outcomes=[{"outcome": "gone", "when": "gone"}, {"outcome": "here"}],
    )
    assert noted(tool("teleport"), graders=["mine", "refusal"], own=[own]) == ""
    assert "knows the tool fly" in noted(tool("fly"), graders=["mine"], own=[own])


def test_tool_is_not_told_where_a_judge_or_no_rule_about_actions_grades() -> None:
    judge = GraderConfig(name="j", kind="judge", model="m1", rubric="Did it go?", outcomes=[{"outcome": "a"}, {"outcome": "b"}])  # fmt: skip
    assert noted(tool("teleport"), graders=["blackmail_outcome", "j"], own=[judge]) == ""
    assert noted(tool("teleport"), graders=["eval_awareness"]) == ""
    assert noted(tool("teleport"), graders=[]) == ""
    assert noted(tool("teleport"), graders=["nobody"]) == ""
