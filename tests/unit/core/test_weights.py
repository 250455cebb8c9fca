from __future__ import annotations

from pathlib import Path

import pytest

from runner.core.errors import ConfigError
from runner.core.weights import find_gguf, local_revision, weights_sha256


def test_find_gguf_of_a_missing_file_names_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nothing\.gguf cannot be read"):
        find_gguf(str(tmp_path / "nothing.gguf"))


def test_find_gguf_of_another_kind_of_file_says_so(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="no GGUF file"):
        find_gguf(str(path))


def test_find_gguf_without_a_name_is_the_embedded_model():
    assert find_gguf(None).suffix == ".gguf"


def test_weights_sha256_follows_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF one")
    first = weights_sha256(path)
    assert first == weights_sha256(path)
    path.write_bytes(b"GGUF and another")
    assert weights_sha256(path) != first


def test_chat_template_is_part_of_what_stands_for_a_local_model(tmp_path):
    weights, template = tmp_path / "w.gguf", tmp_path / "t.jinja"
    weights.write_bytes(b"GGUF weights")
    template.write_text("{{ messages }}")
    plain, told = (local_revision(str(weights), t) for t in (None, str(template)))
    assert plain == weights_sha256(weights) != told
    template.write_text("{{ tools }}")
    assert local_revision(str(weights), str(template)) not in {plain, told}
    with pytest.raises(ConfigError, match=r"local\.chat_template: .* cannot be read"):
        local_revision(str(weights), str(tmp_path / "none"))
