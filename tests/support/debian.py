"""What Debian packages bring that tests need, and the one rule by which tests skip without them.

A test that needs one carries `@pytest.mark.debian` and asks for the program through here. `.ci/run`
installs the packages (its list `packages`), and there a skip is a failure (tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")
PACKAGES = {"chromium": "chromium", "munged": "munge", "sbatch": "slurm-wlm"}
"""Program to the Debian package that brings it."""


def program(name: str) -> str:
    """Return the path of a program, or skip the test with the command that installs it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install {PACKAGES[name]}")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open Debian's chromium, headless, through Playwright; closed at the end."""
    executable = program("chromium")
    from playwright.sync_api import sync_playwright

    # Chromium refuses its sandbox to root; pages here are our own, served from this machine.
    arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def apart(work: Callable[..., T], *arguments: object) -> T:
    """Run something in a thread of its own and return what it returns.

    Playwright's synchronous API keeps an event loop running in the thread that opened the browser,
    so `asyncio.run` (and with it every command of ours) has to run in another one.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result()
