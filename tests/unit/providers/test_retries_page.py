from __future__ import annotations

from pathlib import Path

from runner.core.values import FailureKind
from runner.providers.retries_page import page


def test_retries_page_in_docs_is_what_the_code_says():
    kept = Path(__file__).parents[3] / "docs" / "retries.md"
    assert kept.read_text() == page(), (
        "run: python -m runner.providers.retries_page > docs/retries.md"
    )


def test_retries_page_names_every_kind():
    assert all(f"| `{kind}` |" in page() for kind in FailureKind)
