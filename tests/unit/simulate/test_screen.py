"""The lines of `runner simulate`, by example."""

from runner.simulate.config import (
    ForeignConfig,
    GroupConfig,
    ModelConfig,
    RampConfig,
    SimulateConfig,
    StepConfig,
)
from runner.simulate.screen import Traffic, farewell, greeting, hello_line

URL = "http://127.0.0.1:1"


def test_greeting_names_rates_limits_and_faults_of_what_is_served():
    group = GroupConfig(
        rpm=60.0,
        itpm=None,
        otpm=None,
        foreign=ForeignConfig(share=0.3),
        ramp=RampConfig(),
        steps=[StepConfig()],
    )
    config = SimulateConfig(
        groups={"g": group},
        models={"a": ModelConfig(group="g", persona="difficult")},
        faults={"overloaded": 0.01},
    )
    text = "\n".join(greeting(config, URL, "/stats"))
    assert "ordinary: ordinary 100 %" in text
    assert "a: difficult: refusal 5.0 %" in text
    limits = "60 requests a minute, buckets of 60 s, 30.0 % of it used by others"
    assert f"group g: {limits}, ramp from 20.0 %, × 0.5 after 60 s" in text
    assert "overloaded 1.0 %" in text
    assert f'base_url: "{URL}/v1"' in text


def test_hello_line_is_short_where_the_shipped_configuration_already_points_there():
    assert hello_line(URL, as_shipped=True).endswith("runner sweep configs/hello.yaml")
    assert f"models.m2.base_url={URL}/v1" in hello_line(URL, as_shipped=False)


def test_traffic_tells_what_is_new_and_nothing_where_nothing_is():
    traffic = Traffic()
    first = traffic.line({"200": 30, "429": 2}, {"requests": 2}, 4, 10.0)
    assert first is not None
    assert (
        "30 answered (3.0/s) · 4 running · 2 × 429 · refused since the start by requests 2" in first
    )
    second = traffic.line({"200": 40, "429": 2}, {"requests": 2}, 0, 20.0)
    assert second is not None
    assert "10 answered (1.0/s)" in second
    assert "429" not in second
    assert traffic.line({"200": 40, "429": 2}, {"requests": 2}, 0, 30.0) is None


def test_farewell_tells_the_truth_of_each_model():
    lines = [
        *farewell({"200": 3, "429": 1}, {"requests": 1}, {"a": {"plea": 1, "ordinary": 2}}, 4.0)
    ]
    assert lines == [
        "Stopped. Responses: 3 × 200, 1 × 429 in 4 s.",
        "429s by limit: requests 1.",
        "Truth of a: ordinary 2, plea 1.",
    ]
