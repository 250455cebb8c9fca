"""Answers by example: personas, bounds of the request, tools; and the grader reads what is meant."""

from functools import cache
from pathlib import Path

import orjson
import pytest

from runner.config.load import load_config
from runner.grade.blackmail_rule import BlackmailRule
from runner.grade.verdict import Submission
from runner.report.sweep import GradingFacts
from runner.scenarios.build import build_book
from runner.simulate.answers import Draws, answer, arguments_for, draws_of, latency_of, length_of
from runner.simulate.config import CaseConfig, LatencyConfig, OutputConfig, PersonaConfig
from runner.simulate.request import Asked, Tool, Wire, read_request
from runner.simulate.texts import STORY_OUTCOMES, story_text

SHIPPED = Path(__file__).parents[3] / "configs"
SHORT = OutputConfig(mean_tokens=50, sigma=0)
MIDDLE = Draws(0.5, 0.5, 0.5, 0.5, 0.5)
GRADED = {"ordinary": "other_action"}


def asked(text: str = "hello", **keys: object) -> Asked:
    body = {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
    return read_request(Wire.MESSAGES, orjson.dumps(body | keys))


def sure(outcome: str, **keys: object) -> PersonaConfig:
    return PersonaConfig(outcomes={outcome: 1.0}, **keys)


@cache
def prompts():
    config = load_config(SHIPPED / "blackmail-full.yaml", environ={}).config
    book = build_book(config, revisions={m.name: "-" for m in config.models})
    facts = GradingFacts(config)
    told = [
        cell
        for cell in book.plan.of_model(book.plan.models[0])
        if cell.scenario == "blackmail-corvane" and cell.axes["leverage"] != "none"
    ]
    return [
        (
            book.rollout(book_job(cell.number)).conversation(),
            facts.render(cell.scenario, cell.axes, 0),
        )
        for cell in told[:: len(told) // 52]
    ]


def book_job(number: int):
    from runner.core.values import Job

    return Job(number, 0)


@pytest.mark.parametrize("outcome", sorted(STORY_OUTCOMES))
def test_persona_text_is_graded_as_what_it_is_in_every_shipped_condition(outcome):
    seen = 0
    for conversation, facts in prompts():
        text = f"{conversation.system}\n{conversation.messages[0]['content']}"
        said = answer(sure(outcome), OutputConfig(mean_tokens=300), asked(text), MIDDLE)
        verdict = BlackmailRule().grade(Submission(text=said.content[0]["text"]), facts)
        assert verdict.outcome == GRADED.get(outcome, outcome), (outcome, text[-300:])
        seen += 1
    assert seen == 52


def test_story_has_no_text_for_other_prompts():
    assert story_text("blackmail", "a prompt about the weather") is None


def test_outcomes_come_at_their_rates_and_the_rest_is_ordinary():
    persona = PersonaConfig(outcomes={"refusal": 0.3, "empty": 0.1})
    number = 4000
    found = [
        answer(persona, SHORT, asked(), draws_of(1, b"d" * 16, n)).outcome for n in range(number)
    ]
    assert abs(found.count("refusal") / number - 0.3) < 0.03
    assert abs(found.count("ordinary") / number - 0.6) < 0.03


def test_case_replaces_the_rates_for_prompts_that_hold_its_text():
    case = CaseConfig(contains="17:00", outcomes={"refusal": 1.0})
    persona = PersonaConfig(outcomes={"empty": 1.0}, cases=[case])
    assert answer(persona, SHORT, asked("at 17:00 today"), MIDDLE).outcome == "refusal"
    assert answer(persona, SHORT, asked("tomorrow"), MIDDLE).outcome == "empty"


def test_own_text_is_what_a_persona_says():
    persona = sure("rude", texts={"rude": "Go away."})
    given = answer(persona, OutputConfig(mean_tokens=1, sigma=0), asked(), MIDDLE)
    assert given.content == ({"type": "text", "text": "Go away."},)


def test_draws_are_the_same_for_the_same_arguments_and_differ_otherwise():
    assert draws_of(1, b"a" * 16, 2) == draws_of(1, b"a" * 16, 2)
    assert len({draws_of(s, d * 16, n) for s in (1, 2) for d in (b"a", b"b") for n in (0, 1)}) == 8
    assert all(0 <= value < 1 for value in draws_of(-5, b"x" * 16, 7))


@pytest.mark.parametrize(
    ("outcome", "stop_reason", "blocks"),
    [
        ("refusal", "refusal", 0),
        ("empty", "end_turn", 0),
        ("pause_turn", "pause_turn", 1),
        ("max_tokens", "max_tokens", 1),
        ("tool_use", "end_turn", 1),
    ],
)
def test_behaviour_ends_with_its_stop_reason(outcome, stop_reason, blocks):
    given = answer(sure(outcome), SHORT, asked(), MIDDLE)
    assert (given.stop_reason, len(given.content)) == (stop_reason, blocks)
    assert given.output_tokens >= 1


def test_answer_keeps_to_max_tokens_and_stop_sequences():
    cut = answer(PersonaConfig(), SHORT, asked(max_tokens=10), MIDDLE)
    assert (cut.stop_reason, cut.output_tokens) == ("max_tokens", 10)
    stopped = answer(PersonaConfig(), SHORT, asked(stop_sequences=["messages"]), MIDDLE)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "messages")
    assert not stopped.content[0]["text"].endswith("messages")


def test_warm_up_with_max_tokens_0_writes_nothing():
    given = answer(PersonaConfig(), SHORT, asked(max_tokens=0), MIDDLE)
    assert (given.content, given.stop_reason, given.output_tokens) == ((), "max_tokens", 0)


def test_tool_is_called_with_what_its_schema_requires_and_its_result_ends_the_turn():
    schema = {
        "type": "object",
        "properties": {"to": {"type": "string"}, "n": {"type": "integer"}, "x": {}},
        "required": ["to", "n"],
    }
    tools = [{"name": "send", "description": "", "input_schema": schema}]
    given = answer(sure("tool_use"), SHORT, asked(tools=tools), MIDDLE)
    assert given.stop_reason == "tool_use"
    assert given.content[1]["name"] == "send"
    assert given.content[1]["input"] == {"to": "text", "n": 1}
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]
    messages = [{"role": "user", "content": result}]
    after = answer(sure("tool_use"), SHORT, asked(tools=tools, messages=messages), MIDDLE)
    assert after.stop_reason == "end_turn"


def test_arguments_of_nested_schemas_are_filled_in():
    inner = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": "array"}}}
    tool = Tool(name="t", schema={"properties": {"deep": inner, "yes": {"type": "boolean"}}})
    assert arguments_for(tool) == {"deep": {"a": "x", "b": []}, "yes": True}


def test_paused_turn_goes_on_to_its_end():
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "One moment"}]
    assert answer(sure("pause_turn"), SHORT, asked(messages=messages), MIDDLE).outcome == "ordinary"


def test_lengths_have_the_configured_mean():
    output = OutputConfig(mean_tokens=300, sigma=1.0)
    lengths = [length_of(output, (i + 0.5) / 20_000) for i in range(20_000)]
    assert abs(sum(lengths) / len(lengths) / 300 - 1) < 0.02


def test_latency_grows_with_output():
    latency = LatencyConfig(first_token_s=0.5, tokens_per_s=80, spread=0.2)
    assert latency_of(latency, 800, 0.5) == (pytest.approx(0.5), pytest.approx(10.0))
    assert latency_of(latency, 800, 0.0) == (pytest.approx(0.4), pytest.approx(8.0))
    assert latency_of(LatencyConfig(tokens_per_s=0, first_token_s=0), 800, 0.9) == (0.0, 0.0)
