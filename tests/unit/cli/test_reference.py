from pathlib import Path

from runner.cli.reference import page

ROOT = Path(__file__).parents[3]


def test_page_of_the_command_line_is_what_the_parser_says():
    assert (ROOT / "docs" / "cli.md").read_text() == page(), (
        "run: python -m runner.cli.reference > docs/cli.md"
    )
