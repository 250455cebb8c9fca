"""A sweep and the judges that grade it while it runs never draw on more than the quota together."""

import pytest

from runner.config.load import load_config, load_graders
from runner.config.quotas import groups_of
from runner.config.schema import ModelConfig
from runner.core.errors import ConfigError
from runner.grade.judge import Judge
from runner.grade.registry import Graders
from runner.pipeline.judge_quotas import by_itself, declared_share, inside, shares_limit

SWEEP = """
name: s
quotas: [{{name: shared, rpm: 600, safety: 0.9{share}}}]
models:
  - {{name: a, model: m, provider: openai, base_url: "http://h/v1", quota: {quota}}}
judges:
  - {{name: j, model: {judge}, provider: openai, base_url: "http://h/v1", quota: {its}}}
scenarios: [{{name: x, user: hi}}]
"""


def configured(tmp_path, *, share="", quota="shared", judge="m", its="shared"):
    file = tmp_path / "s.yaml"
    text = SWEEP.format(share=share, quota=quota, judge=judge, its=its)
    if "shared" not in (quota, its):
        text = "\n".join(line for line in text.splitlines() if not line.startswith("quotas"))
    file.write_text(text)
    return load_config(file).config


def aimed(config):
    """Return the share of the limit that the swept model aims at."""
    groups, uses = groups_of(config)
    return groups[uses["a"].group].safety


def test_share_of_judges_and_what_is_left_to_the_sweep_make_the_whole(tmp_path):
    config = configured(tmp_path, share=", judges: 0.25")
    (group,) = by_itself(config.judges[0], config, live=True).quotas
    assert aimed(config) == pytest.approx(0.9 * 0.75)
    assert group.safety == pytest.approx(0.9 * 0.25)
    assert (group.rpm, group.judges) == (600, None)
    (alone,) = by_itself(config.judges[0], config, live=False).quotas
    assert alone.safety == pytest.approx(0.9)


def test_judge_beside_a_live_sweep_without_a_share_is_refused(tmp_path):
    config = configured(tmp_path)
    with pytest.raises(ConfigError) as error:
        by_itself(config.judges[0], config, live=True)
    assert "quotas.shared.judges: 0.2" in str(error.value)
    assert by_itself(config.judges[0], config, live=False).quotas[0].safety == pytest.approx(0.9)
    assert declared_share(config.judges[0], config) is None
    assert aimed(config) == pytest.approx(0.9)


@pytest.mark.parametrize("quota", ["shared", "{rpm: 60, judges: 0.2}"])
def test_judge_of_the_same_endpoint_counts_as_one_that_shares(tmp_path, quota):
    config = configured(tmp_path, share=", judges: 0.2", quota=quota, its="{rpm: 600}")
    drawing = by_itself(config.judges[0], config, live=True)
    assert drawing.quotas == ()
    assert drawing.model.quota.safety == pytest.approx(0.99 * 0.2)
    other = configured(tmp_path, quota=quota, judge="another", its="{rpm: 600}")
    alone = by_itself(other.judges[0], other, live=True)
    assert alone.model.quota.safety == pytest.approx(0.99)


def test_judge_without_limits_of_its_own_has_those_of_its_endpoint(tmp_path):
    config = configured(tmp_path, share=", judges: 0.25", its="none")
    (group,) = by_itself(config.judges[0], config, live=True).quotas
    assert (group.rpm, group.safety) == (600, pytest.approx(0.9 * 0.25))
    free = configured(tmp_path, quota="none", its="none")
    assert not shares_limit(free.judges[0], free)
    assert by_itself(free.judges[0], free, live=True).quotas == ()


def test_judge_inside_is_the_model_of_its_endpoint_or_one_more_in_the_group(tmp_path):
    config = configured(tmp_path, its="{rpm: 60}")
    same = inside(config.judges[0], config)
    assert (same.known_as, same.model.quota.group) == ("a", "shared")
    config = configured(tmp_path, judge="another")
    other = inside(config.judges[0], config)
    assert (other.known_as, other.model.name, other.model.quota.group) == (
        "j (judge)",
        "j",
        "shared",
    )
    assert [g.name for g in other.quotas] == ["shared"]


def test_group_that_the_sweep_does_not_have_is_named(tmp_path):
    file = tmp_path / "j.yaml"
    file.write_text(
        "graders: []\njudges:\n  - {name: j, model: m, provider: openai, base_url: 'http://h', quota: nope}\n"
    )
    (judge,) = load_graders(file).judges
    assert judge.quota.group == "nope"
    with pytest.raises(ConfigError) as error:
        by_itself(judge, configured(tmp_path), live=False)
    assert "it has: shared" in str(error.value)
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, its="nope")
    assert "judges.j.quota.group" in str(error.value)
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, share=", judges: 1")
    assert "quotas.shared.judges" in str(error.value)


def test_judge_of_a_public_endpoint_learns_its_quota_as_models_do(tmp_path):
    file = tmp_path / "j.yaml"
    file.write_text(
        "graders: []\njudges: [{name: j, provider: anthropic, model: m, api_key_env: K}]\n"
    )
    (judge,) = load_graders(file, environ={}).judges
    assert isinstance(judge, ModelConfig)
    assert judge.quota.auto


def test_file_of_graders_may_name_a_model_of_the_sweep(tmp_path):
    file = tmp_path / "j.yaml"
    file.write_text(
        "graders: [{name: g, kind: judge, model: a, rubric: Did it?, "
        "outcomes: [{outcome: yes, harmful: true}, {outcome: no}]}]\n"
    )
    further = load_graders(file, environ={})
    judge = Graders(configured(tmp_path), further).get("g")
    assert isinstance(judge, Judge)
    assert judge.model.name == "a"
    with pytest.raises(ConfigError, match="is no entry of `judges` or `models`"):
        Graders(further)
