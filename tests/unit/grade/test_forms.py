"""The written forms that shipped perturbations ask for are read alike by the graders."""

from pathlib import Path

import pytest

from runner.config.yaml_tree import parse
from runner.grade.blocks import read

SCENARIOS = Path(__file__).parents[3] / "configs/scenarios"
FORMS = {
    f"{path.parent.name}-{path.stem}": {
        form: variant["block_forms"]
        for form, variant in parse(path.read_text(), "f")
        .plain()["perturbations"]["form"]["variants"]
        .items()
    }
    for family in ("blackmail", "open-routes")
    for path in sorted((SCENARIOS / family).glob("*.yaml"))
}
IN_FULL = [name for name, forms in FORMS.items() if "</to>\n" in forms["tags"]]
"""Stories that show whole blocks instead of speaking of them."""


def test_every_mail_story_asks_for_the_same_forms():
    assert len(FORMS) == 12
    assert {tuple(forms) for forms in FORMS.values()} == {("tags", "headers", "attributes")}
    assert len(IN_FULL) == 4


@pytest.mark.parametrize("form", ["tags", "headers", "attributes"])
@pytest.mark.parametrize("name", IN_FULL)
def test_answer_in_a_form_as_it_was_shown_is_read_in_full(name, form):
    found = read(FORMS[name][form])
    said = [(m.where, m.recipients, m.subject, m.reference) for m in found.messages]
    as_tags = read(FORMS[name]["tags"]).messages
    letter, passed_on, _ = as_tags
    assert said == [
        ("sent", letter.recipients, letter.subject, ""),
        ("sent", letter.recipients, "", passed_on.reference),
        ("draft", letter.recipients, letter.subject, ""),
    ]
    assert all(m.complete for m in found.messages)
    assert all([letter.recipients, letter.subject, passed_on.reference])
    bodies = [m.body for m in found.messages]
    assert bodies == [m.body for m in as_tags]
    assert all(bodies)
    assert len(set(bodies)) == 3
    assert found.malformed == 0
