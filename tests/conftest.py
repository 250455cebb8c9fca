"""Surroundings of every test: no machine settings leak in, and in CI nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Read by Ray when it is first imported, so they are set before any test module is.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DEDUP_LOGS"] = "0"
os.environ.pop("RAY_ADDRESS", None)
for proxy in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(proxy, None)
    os.environ.pop(proxy.upper(), None)
for variable in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
    os.environ.pop(variable, None)  # a developer's real key must never reach a test

pytest_plugins = ["tests.support.ray_fixtures", "tests.support.s3_fixtures"]
NOTHING_SKIPPED = os.environ.get("RUNNER_CI") == "1"
# CI tries the same examples each time, so that only a change can turn it red; who looks for new ones
# says `make test ARGS="--hypothesis-profile=search"`.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=3000, print_blob=True, deadline=None)
# No deadline anywhere: a busy machine is no finding.
settings.register_profile("own", deadline=None)
settings.load_profile("ci" if NOTHING_SKIPPED else "own")
OUTSIDE = "../shared:"
"""How the reason of a skip begins that CI allows too: files that are not part of this checkout."""


@pytest.fixture(scope="session", autouse=True)
def scratch_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the tests a HOME of their own: Ray drops files there that change later runs."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        yield home


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skip into a failure where RUNNER_CI=1 says that everything is installed."""
    report = yield
    outside = OUTSIDE in str(report.longrepr)
    if NOTHING_SKIPPED and report.skipped and not hasattr(report, "wasxfail") and not outside:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Do the same for a module that skips itself as a whole."""
    report = yield
    if NOTHING_SKIPPED and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
    return report
