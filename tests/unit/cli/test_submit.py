"""What `runner submit` hands over."""

from __future__ import annotations

import shlex

import pytest

from runner.cli.main import build_parser
from runner.pipeline.submitting import Submission, entrypoint


def test_entrypoint_carries_what_the_user_allows():
    asked = Submission(address="http://h:8265", workers=3, flags=("--yes", "--keep-going"))
    words = shlex.split(entrypoint(asked))
    assert words[:3] == ["runner", "sweep", "sweep.yaml"]
    assert words[3:] == ["--address", "auto", "--workers", "3", "--yes", "--keep-going"]
    build_parser()[0].parse_args(words[1:])  # the command takes every one of them


@pytest.mark.parametrize("flag", ["--yes", "--keep-going", "--retry-failed"])
def test_submit_takes_what_a_refused_sweep_names(flag):
    args = build_parser()[0].parse_args(["submit", "c.yaml", "--address", "http://h", flag])
    assert getattr(args, flag.strip("-").replace("-", "_"))
