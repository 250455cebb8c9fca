from pathlib import Path

from runner.record import schema_doc


def test_schema_document_when_the_schema_changes_then_it_must_be_generated_again():
    document = Path(__file__).parents[3] / "docs" / "schema.md"

    assert document.read_text(encoding="utf-8") == schema_doc.render(), (
        "run: python -m runner.record.schema_doc > docs/schema.md"
    )
