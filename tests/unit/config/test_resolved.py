from functools import cache
from pathlib import Path

import pytest

from runner.config.load import load_config
from runner.config.resolved import (
    RESOLVED_VERSION,
    dump_plain,
    dump_resolved,
    load_resolved,
    resolved_facts,
)
from runner.core.errors import RecordError

ROOT = Path(__file__).parents[3]
# The large sweeps read the same scenario files; test_shipped.py loads them too.
SHIPPED = sorted(p for p in (ROOT / "configs").glob("*.yaml") if not p.stem.endswith("-full"))


@cache
def loaded_of(path):
    return load_config(path, environ={})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configuration_loads_and_its_resolved_copy_says_the_same(path):
    loaded = loaded_of(path)
    assert load_resolved(loaded.text) == loaded.config


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configuration_opens_with_its_command(path):
    assert path.read_text().splitlines()[0].startswith("# runner ")


def test_resolved_copy_keeps_facts_out_of_the_configuration():
    config = load_config(ROOT / "configs/hello.yaml", environ={}).config
    text = dump_resolved(config, {"runner": "0.1.0", "git": "abc"})
    assert "git: abc" in text
    assert load_resolved(text) == config


def test_resolved_copy_of_a_newer_layout_is_refused_with_what_to_do():
    config = load_config(ROOT / "configs/hello.yaml", environ={}).config
    newer = dump_resolved(config).replace(
        f"version: {RESOLVED_VERSION}", f"version: {RESOLVED_VERSION + 1}", 1
    )
    with pytest.raises(RecordError, match=r"written by a newer runner .* Update runner"):
        load_resolved(newer + "unheard_of: 1\n")


def test_facts_of_a_newer_layout_are_refused_and_of_a_damaged_text_unknown():
    config = load_config(ROOT / "configs/hello.yaml", environ={}).config
    text = dump_resolved(config, {"sweep_id": "abc"})
    assert resolved_facts(text) == {"sweep_id": "abc"}
    assert resolved_facts(text[:40] + "[") == {}
    newer = text.replace(f"version: {RESOLVED_VERSION}", f"version: {RESOLVED_VERSION + 1}", 1)
    with pytest.raises(RecordError, match="written by a newer runner"):
        resolved_facts(newer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "resolved.version is missing"),
        ("name: [", "not YAML"),
        ("resolved: {version: 1}\nnmae: x\n", "not as it was written"),
        ("resolved: {version: one}\n", "resolved.version is missing"),
    ],
)
def test_resolved_copy_when_damaged_is_refused(text, expected):
    with pytest.raises(RecordError, match="not to be edited") as caught:
        load_resolved(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_plain_copy_in_one_file_is_the_same_configuration(path, tmp_path):
    config = loaded_of(path).config
    copy = tmp_path / "sweep.yaml"
    copy.write_text(dump_plain(config))
    assert load_config(copy, environ={}).config == config


def test_plain_copy_keeps_what_users_add_beside_the_shipped_keys(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text((ROOT / "configs/hello.yaml").read_text() + MORE)
    loaded = load_config(config, environ={}).config
    assert loaded.prices["m2"].output == 2
    copy = tmp_path / "sweep.yaml"
    copy.write_text(dump_plain(loaded))
    assert load_config(copy, environ={}).config == loaded


MORE = """
prices:
  m1: {like: claude-opus-4-5}
  m2: {input: 0.5, output: 2}
budget: {usd: 50}
"""
