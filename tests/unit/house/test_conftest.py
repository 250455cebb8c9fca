import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"
SKIPPING = "import pytest\ndef test_a():\n    pytest.skip('no browser')\n"
MODULE = "import pytest\npytest.importorskip('no_such_module_at_all')\ndef test_a():\n    pass\n"
EXPECTED_TO_FAIL = "import pytest\n@pytest.mark.xfail\ndef test_a():\n    assert False\n"


def run(folder: Path, text: str, ci: str) -> tuple[int, str]:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "RUNNER_CI": ci, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", [SKIPPING, MODULE], ids=["test", "module"])
def test_skip_in_ci_is_a_failure(tmp_path, text):
    code, out = run(tmp_path, text, ci="1")
    assert code != 0
    assert "skipped in CI, where nothing may be" in out


def test_skip_elsewhere_is_a_skip(tmp_path):
    code, out = run(tmp_path, SKIPPING, ci="")
    assert (code, "1 skipped" in out) == (0, True)


def test_expected_failure_in_ci_is_none(tmp_path):
    assert run(tmp_path, EXPECTED_TO_FAIL, ci="1")[0] == 0
