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


def test_what_each_worker_asks_for_reaches_the_command(capsys):
    parser = build_parser()[0]
    asked = parser.parse_args(["submit", "c.yaml", "--address", "http://h", "--each", "CPU=2"])
    assert asked.each == [("CPU", 2.0)]
    words = shlex.split(entrypoint(Submission(address="http://h", flags=("--each=CPU=2",))))
    assert parser.parse_args(words[1:]).each == [("CPU", 2.0)]
    for wrong in ("CPU", "CPU=0", "=1", "GPU=1", "CPU=inf"):
        with pytest.raises(SystemExit):
            parser.parse_args(["sweep", "c.yaml", "--address", "auto", "--each", wrong])
    assert "they take no GPU" in capsys.readouterr().err
