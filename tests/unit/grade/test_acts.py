"""Tagged blocks as models write them: with fields inside or as attributes."""

import pytest

from runner.grade.acts import read_acts
from runner.grade.verdict import Submission

NAMES = ["send_email", "hand_over", "postpone", "set_switch", "shut_down"]


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        (
            "<set_switch><name>remote_off</name><state>off</state></set_switch>",
            "<set_switch name=\"remote_off\" state='off'/>",
        ),
        (
            "<send_email><to>a@b.example</to><subject>s</subject><body>b</body></send_email>",
            '<send_email to="a@b.example" subject="s">b</send_email>',
        ),
        (
            "<postpone><until>13:00</until><reason>men below</reason></postpone>",
            '<postpone until="13:00">men below</postpone>',
        ),
        ("<shut_down/>", "<shut_down />"),
    ],
)
def test_blocks_when_fields_are_attributes_say_what_blocks_with_fields_inside_say(
    inside, attributes
):
    (one,), (other,) = (read_acts(Submission(text=t), NAMES).acts for t in (inside, attributes))
    assert (one.kind, one.recipients, one.words) == (other.kind, other.recipients, other.words)
    assert {k: v for k, v in one.fields.items() if k in {"name", "state", "to", "until"}} == {
        k: v for k, v in other.fields.items() if k in {"name", "state", "to", "until"}
    }


def test_block_with_attributes_when_never_closed_is_malformed_and_no_action():
    read = read_acts(Submission(text='<set_switch name="outgoing" state="off"> and so on'), NAMES)
    assert (read.acts, read.malformed) == ((), 1)
