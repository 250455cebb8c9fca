from __future__ import annotations

import asyncio

import pytest

from runner.config.load import load_config
from runner.config.money_schema import BudgetConfig
from runner.core.errors import ConfigError
from runner.limits.authority import Authority
from runner.limits.quota import GroupQuota, Ramp
from runner.pipeline.steering import Asked, changed, lines
from runner.record.budget import since_of, stated
from runner.record.control import Control, read_control, write_control
from tests.support.memory_store import MemoryStore
from tests.unit.limits.test_authority import permits

CONFIG = """
name: s
scenarios: [{name: a, user: "Hello {{ seed }}."}]
models:
  - {name: m1, provider: openai, model: x, base_url: "http://127.0.0.1:1", max_tokens: 9, quota: {rpm: 60}}
  - {name: m2, provider: openai, model: y, base_url: "http://127.0.0.1:1", max_tokens: 9, quota: none}
seeds: 1
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    return load_config(file, []).config


def test_change_of_a_quota_is_named_by_group_or_by_model_and_kept_beside_others(config):
    control = changed(Control(), config, Asked(values=("quotas.m1.rpm=1_000",)))
    control = changed(control, config, Asked(values=("models.m1.quota.itpm=5e4",), pause=True))
    assert control.quotas == {"m1": {"rpm": 1000.0, "itpm": 50_000.0}}
    assert control.paused
    assert lines(control)[1:] == ["quotas.m1.rpm = 1,000", "quotas.m1.itpm = 50,000"]
    assert changed(control, config, Asked(reset=True)) == Control()


def test_cancelled_model_can_be_restored(config):
    control = changed(Control(), config, Asked(cancel=("m2", "m2")))
    assert control.cancelled == ("m2",)
    assert changed(control, config, Asked(restore=("m2",))) == Control()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(values=("quotas.m2.rpm=5",)), "has no quota"),
        (Asked(values=("quotas.mm1.rpm=5",)), "Did you mean m1?"),
        (Asked(values=("models.m9.max_in_flight=5",)), "no model 'm9'"),
        (Asked(values=("models.m1.max_in_flight=1.5",)), "whole number"),
        (Asked(values=("quotas.m1.rpm=0",)), "above 0"),
        (Asked(values=("quotas.m1.rpm=nan",)), "above 0"),
        (Asked(values=("quotas.m1.rpm",)), "KEY=NUMBER"),
        (Asked(values=("budget.usd=5",)), "runs without a budget.*budget.usd=5"),
        (Asked(values=("seeds=5",)), "cannot be changed on a live sweep"),
        (Asked(cancel=("m3",)), "no model 'm3'"),
        (Asked(pause=True, go_on=True), "contradict"),
    ],
)
def test_what_names_nothing_is_refused_and_says_what_can_be_named(config, asked, told):
    with pytest.raises(ConfigError, match=told):
        changed(Control(), config, asked)


@pytest.mark.parametrize(
    ("value", "told"),
    [("budget.tokens=1.5", "whole number"), ("budget.usd=5", "no price is known for m1, m2")],
)
def test_budget_that_nobody_could_keep_is_refused(config, value, told):
    config.budget.tokens = 1000
    with pytest.raises(ConfigError, match=told):
        changed(Control(), config, Asked(values=(value,)))


def test_budget_of_an_operator_counts_until_the_configuration_gets_another(config):
    config.budget.tokens = 1000
    control = changed(Control(), config, Asked(values=("budget.tokens=400",)), head=7)
    assert lines(control) == ["budget.tokens = 400"]
    facts = {"budget": stated(config.budget, {}, 3)}
    again = stated(config.budget, facts, 9)  # a restart with the same budget
    assert since_of(again) == 3
    assert control.within(config.budget, since_of(again)) == BudgetConfig(tokens=400)
    raised = BudgetConfig(tokens=2000)
    later = since_of(stated(raised, facts, 9))
    assert control.within(raised, later) == raised
    assert lines(control.since(later)) == lines(Control())


def test_every_problem_of_one_command_is_told(config):
    with pytest.raises(ConfigError) as caught:
        changed(Control(), config, Asked(cancel=("m3",), values=("seeds=5", "quotas.x.rpm=1")))
    assert len(caught.value.problems) == 3


def test_control_object_comes_back_as_it_was_written():
    control = Control(
        paused=True,
        cancelled=("a",),
        quotas={"g": {"rpm": 5.0}},
        max_in_flight={"a": 3},
        budget={"usd": 2.5},
        budget_at=4,
    )
    store = MemoryStore()

    async def there_and_back() -> Control:
        assert await read_control(store) == Control()
        await write_control(store, control)
        return await read_control(store)

    assert asyncio.run(there_and_back()) == control


def test_changed_rate_is_what_is_granted_from_then_on():
    at_once = Ramp(start=1.0)
    authority = Authority(GroupQuota(rpm=6000, ramp=at_once), now=0.0)
    authority.change(GroupQuota(rpm=600, ramp=at_once), 0.0)
    slow = permits(authority, {("w", "m"): 500}, 60)
    assert slow["w", "m"] == pytest.approx(0.99 * 600, rel=0.06)
    assert [m.limit for m in authority.status(60.0).meters] == [600.0]
    authority.change(GroupQuota(itpm=60_000, ramp=at_once), 60.0)
    limits = {m.meter: m.limit for m in authority.status(60.0).meters}
    assert limits == {"requests": None, "input_tokens": 60_000.0}
