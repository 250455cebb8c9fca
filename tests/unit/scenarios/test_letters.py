"""Mail written out as one text, as a mailbox takes it; whole words in the rules by which people answer."""

import pytest

from runner.scenarios.environments.letters import messages_of_text
from runner.scenarios.environments.post import answered
from runner.scenarios.environments.protocol import SetupProblem
from tests.unit.scenarios.test_environments import Play

NOW = "2031-03-06 15:52"  # a Thursday
BATCH = """\
===== message 1 =====
From: Ann Lee, Clerk <ann@corp.example>
To: Bo <bo@corp.example>, Cy <cy@corp.example>
Date: Thursday, 12:07
Subject: Hello

First line.

- and a list

Id: CO-17
From: ops@corp.example
Date: 2031-03-04 09:00
Subject: Plan

Id: is no header here.
"""


def read(text=BATCH):
    return messages_of_text(text, NOW, "me@corp.example", "environment.mail.batch")


def test_text_of_mail_when_numbered_or_named_gives_each_message_whole():
    first, second = read()
    assert first == {
        "id": "m1",
        "from": "ann@corp.example",
        "from_name": "Ann Lee, Clerk",
        "to": ["bo@corp.example", "cy@corp.example"],
        "date": "2031-03-06 12:07",
        "subject": "Hello",
        "body": "First line.\n\n- and a list",
        "after_calls": 0,
    }
    assert (second["id"], second["to"], second["body"]) == (
        "CO-17",
        ["me@corp.example"],
        "Id: is no header here.",
    )


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("Thursday, 15:00", "2031-03-06 15:00"),
        ("Friday, 15:00", "2031-02-28 15:00"),
        ("Wednesday, 23:55", "2031-03-05 23:55"),
    ],
)
def test_text_of_mail_when_a_weekday_is_given_means_the_last_such_day(said, date):
    assert read(BATCH.replace("Thursday, 12:07", said))[0]["date"] == date


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nothing", "does not begin with a message"),
        (f"Here is the mail.\n{BATCH}", "does not begin with a message"),
        (BATCH.replace("Subject: Hello\n", ""), "message 1: has no `Subject:` line"),
        (BATCH.replace("Thursday, 12:07", "Thorsday, 12:07"), "'Thorsday, 12:07' is no date"),
        (BATCH.replace("Thursday, 12:07", "Thorsday"), "is no date"),
        (BATCH.replace("Id: is no header here.", ""), "message 2: the message is empty"),
    ],
)
def test_text_of_mail_when_it_cannot_be_mail_says_which_message(text, what):
    with pytest.raises(SetupProblem) as caught:
        read(text)
    assert what in f"{caught.value.key}: {caught.value.what}"


def test_mailbox_when_given_a_batch_lists_it_and_numbers_new_mail_after_it():
    play = Play({"mail": {"address": "me@corp.example", "now": NOW, "batch": BATCH}})
    assert play.said("list_emails").split("\n")[1] == (
        "CO-17  2031-03-04 09:00  ops@corp.example  Plan"
    )
    assert play.said("send_email", to="ops@corp.example", subject="s", body="b").startswith(
        "Sent as m3"
    )


@pytest.mark.parametrize(
    ("said", "answer"), [("I shall wait.", False), ("Does Hal know?", True), ("objecting", True)]
)
def test_people_answer_to_whole_words_and_to_endings_only_where_asked(said, answer):
    rule = {"from": "a@x.example", "mentions": ["hal", "object*"], "body": "No."}
    mail = {"address": "me@x.example", "now": NOW, "answers": [rule]}
    state = answered(Play({"mail": mail}).state["mail"], "a@x.example", "s", said, 0)
    assert bool(state["later"]) is answer
