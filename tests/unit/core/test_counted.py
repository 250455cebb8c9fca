"""What an attempt counts against a budget, the doubtful ones too."""

import pytest

from runner.core.money import Rates, Row, Tariff, counted
from runner.core.values import Amount, EndState, Failure, FailureKind, Reply, Usage

TARIFF = Tariff(
    source="test",
    rows=(Row(bands=((0, Rates(input=1.0, output=10.0, cache_read=0.1, cache_write=1.0)),)),),
)
ASIDE = Amount(0.5, 700)


def reply(**usage: int) -> Reply:
    return Reply(
        content=({"type": "text", "text": "yes"},),
        stop_reason="end_turn",
        end_state=EndState.ANSWERED,
        usage=Usage(**usage),
        model="m",
    )


def test_answer_counts_its_price_and_all_its_tokens_cached_ones_too():
    found = counted(
        TARIFF, reply(input_tokens=100, cache_read_tokens=1000, output_tokens=50), 0.0, ASIDE
    )
    assert found == pytest.approx(((100 + 100 + 500) / 1e6, 1150))


def test_answer_that_says_no_tokens_counts_what_was_set_aside():
    assert counted(TARIFF, reply(), 0.0, ASIDE) == ASIDE


def test_answer_of_unknown_price_counts_its_tokens():
    found = counted(None, reply(input_tokens=10, output_tokens=5), 0.0, Amount(0.0, 700))
    assert found == Amount(0.0, 15)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(kind=FailureKind.RATE_LIMITED, message="", status=429),
        Failure(kind=FailureKind.OVERLOADED, message="", status=529),
        Failure(kind=FailureKind.BAD_REQUEST, message="", status=400),
        Failure(kind=FailureKind.CONNECTION, message="", error_type="refused"),
        Failure(kind=FailureKind.CONNECTION, message="", error_type="dns"),
    ],
    ids=["429", "529", "400", "refused", "dns"],
)
def test_refused_or_never_sent_attempt_counts_nothing(failure):
    assert counted(TARIFF, failure, 0.0, ASIDE) == Amount(0.0, 0)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(kind=FailureKind.TIMEOUT, message=""),
        Failure(kind=FailureKind.TIMEOUT, message="", status=504),
        Failure(kind=FailureKind.CONNECTION, message="", error_type="reset"),
        Failure(kind=FailureKind.TRUNCATED_RESPONSE, message=""),
        Failure(kind=FailureKind.BAD_RESPONSE, message="", status=200),
    ],
    ids=["timeout", "504", "reset", "truncated", "unreadable"],
)
def test_attempt_that_may_have_been_billed_counts_what_was_set_aside(failure):
    assert counted(TARIFF, failure, 0.0, ASIDE) == ASIDE
