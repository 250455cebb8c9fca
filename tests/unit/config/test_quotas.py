from __future__ import annotations

import pytest

from runner.config.load import load_config
from runner.config.quotas import groups_of
from runner.config.resolved import load_resolved
from runner.core.errors import ConfigError

TEXT = """
name: t
scenarios: [{name: s, user: "hello {{ seed }}"}]
quotas: [{name: shared, rpm: 4000, otpm: 2e6}]
models:
  - {name: a, model: a, base_url: "http://127.0.0.1:1", quota: shared}
  - {name: b, model: b, base_url: "http://127.0.0.1:1", quota: {group: shared, rpm: 600}}
  - {name: c, model: c, base_url: "http://127.0.0.1:1", quota: {rpm: 100}, max_in_flight: 7}
  - {name: d, model: d}
  - {name: e, model: e, base_url: "http://127.0.0.1:1"}
"""


def test_models_draw_on_shared_and_own_quotas(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TEXT)
    loaded = load_config(path, ["models.c.quota.rpm=200"], environ={})
    config = loaded.config
    groups, uses = groups_of(config)
    assert {m: use.group for m, use in uses.items()} == {
        "a": "shared",
        "b": "shared",
        "c": "c",
        "d": "d",
        "e": "e",
    }
    assert groups["shared"].rpm == 4000
    assert groups["c"].rpm == 200
    assert uses["a"].own is None
    assert uses["b"].own is not None
    assert groups["d"].auto, "a public endpoint's quota is learnt"
    assert not groups["e"].auto, "a server of one's own has none"
    assert [m.max_in_flight for m in config.models] == [4096, 4096, 7, 4096, 64]
    assert load_resolved(loaded.text) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("models.a.quota=shred", "Did you mean shared?"),
        ("models.c.quota.rpm=-1", "models.c.quota.rpm: needs more than 0"),
        ("models.c.quota.safety=2", "models.c.quota.safety: is a share"),
        ("quotas.shared.rpmm=3", "unknown key"),
    ],
)
def test_a_quota_that_cannot_be_meant_is_refused_with_its_key(tmp_path, override, said):
    path = tmp_path / "t.yaml"
    path.write_text(TEXT)
    with pytest.raises(ConfigError, match=said.replace("?", "[?]")):
        load_config(path, [override], environ={})
