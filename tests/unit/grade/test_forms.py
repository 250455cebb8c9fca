"""The written forms that a shipped perturbation asks for are read alike by the graders."""

from pathlib import Path

import pytest

from runner.config.yaml_tree import parse
from runner.grade.blocks import read

SHARED = Path(__file__).parents[3] / "configs/shared"
FULL = SHARED / "forms-in-full.yaml"
VARIANTS = parse(FULL.read_text(), "f").plain()["perturbations"]["form"]["variants"]


@pytest.mark.parametrize("form", VARIANTS)
def test_answer_in_a_form_as_it_was_shown_is_read_in_full(form):
    found = read(VARIANTS[form]["block_forms"])
    said = [(m.where, m.recipients, m.subject, m.body, m.reference) for m in found.messages]
    to = "address of the recipient"
    assert said == [
        ("sent", to, "subject line", "text of the message", ""),
        ("sent", to, "", "a line of your own to go with it", "number of the message"),
        ("draft", to, "subject line", "text that is kept and not sent", ""),
    ]
    assert all(m.complete for m in found.messages)
    assert found.malformed == 0


def test_every_set_of_forms_offers_the_same_ones():
    sets = [parse(p.read_text(), p.name).plain() for p in sorted(SHARED.glob("forms-*.yaml"))]
    assert len(sets) == 3
    assert {tuple(s["perturbations"]["form"]["variants"]) for s in sets} == {tuple(VARIANTS)}
