"""One call from request to response, in virtual time: order of checks, cache, money, faults."""

import orjson
import pytest

from runner.core.values import FailureKind
from runner.providers.classify import classify
from runner.providers.headers import error_facts
from runner.providers.messages_api import read_message
from runner.providers.openai_chat import read_chat
from runner.simulate.config import (
    CacheConfig,
    GroupConfig,
    LatencyConfig,
    ModelConfig,
    PersonaConfig,
    SimulateConfig,
    SpendConfig,
    StormConfig,
)
from runner.simulate.request import Wire
from runner.simulate.service import Ending, Served, Service

K = FailureKind
WALL = 1_795_000_000.0
LONG = "All that is written here is the same for every call of this condition. " * 100
"""1,775 tokens."""


def body(text: str = "hello", **keys: object) -> bytes:
    given = {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
    return orjson.dumps(given | keys)


def cached(text: str, *, ttl: str = "5m", tail: str = "go") -> bytes:
    control = {"type": "ephemeral", "ttl": ttl}
    parts = [
        {"type": "text", "text": text, "cache_control": control},
        {"type": "text", "text": tail},
    ]
    return body(messages=[{"role": "user", "content": parts}])


def service(**keys: object) -> Service:
    return Service(SimulateConfig(**keys), 0.0)


def ask(
    of: Service, given: bytes | None = None, now: float = 0.0, wire: Wire = Wire.MESSAGES
) -> Served:
    return of.call(wire, body() if given is None else given, "key", now, WALL)


def kind(served: Served) -> FailureKind:
    error_type, code, message = error_facts(served.body)
    return classify(served.status, error_type, code, message)


def usage(served: Served) -> tuple[int, int, int]:
    found = orjson.loads(served.body)["usage"]
    return (
        found["input_tokens"],
        found["cache_creation_input_tokens"],
        found["cache_read_input_tokens"],
    )


@pytest.mark.parametrize("wire", list(Wire))
def test_quota_refusal_is_a_429_with_a_whole_wait(wire):
    of = service(quota=GroupConfig(rpm=60, burst_s=1.0))
    assert ask(of, wire=wire).status == 200
    refused = ask(of, wire=wire)
    assert (refused.status, kind(refused), refused.retry_after_s) == (429, K.RATE_LIMITED, 1)
    assert "retry-after: 1\r\n" in of.head(refused, 0.0, WALL)
    assert "x-runner-simulated: 1\r\n" in of.head(refused, 0.0, WALL)


def test_keys_have_quotas_of_their_own_and_models_of_a_group_share_one():
    of = Service(
        SimulateConfig(
            groups={"g": GroupConfig(rpm=60, burst_s=1.0)},
            models={"a": ModelConfig(group="g"), "b": ModelConfig(group="g")},
        ),
        0.0,
    )
    assert of.call(Wire.MESSAGES, body(model="a"), "k1", 0.0, WALL).status == 200
    assert of.call(Wire.MESSAGES, body(model="b"), "k1", 0.0, WALL).status == 429
    assert of.call(Wire.MESSAGES, body(model="c"), "k1", 0.0, WALL).status == 200
    assert of.call(Wire.MESSAGES, body(model="b"), "k2", 0.0, WALL).status == 200


def test_spend_limit_is_a_429_that_names_no_wait():
    of = service(spend=SpendConfig(usd=0.003))
    statuses = [ask(of).status for _ in range(5)]
    assert statuses[0] == 200
    last = ask(of)
    assert (kind(last), last.retry_after_s) == (K.SPEND_LIMIT, None)


def test_storm_answers_529_and_uses_no_quota():
    of = service(storms=[StormConfig(after_s=10, for_s=5)], quota=GroupConfig(rpm=60, burst_s=1))
    assert [ask(of, now=float(t)).status for t in (9, 11, 14, 16)] == [200, 529, 529, 200]
    assert kind(ask(of, now=14.0)) is K.OVERLOADED


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"{", K.BAD_REQUEST),
        (b"[]", K.BAD_REQUEST),
        (body(max_tokens="x"), K.BAD_REQUEST),
        (body(messages=[]), K.BAD_REQUEST),
        (body(model=""), K.BAD_REQUEST),
        (body(temperature=1.0), K.BAD_REQUEST),
        (body(messages=[{"role": "king", "content": "x"}]), K.BAD_REQUEST),
        (body(model="other"), K.UNKNOWN_MODEL),
    ],
)
def test_request_that_the_api_would_not_take_is_refused(given, expected):
    of = service(models={"m": ModelConfig()}, only_listed=True)
    assert kind(ask(of, given)) is expected


def test_call_without_a_key_is_refused_where_one_is_required():
    of = service(require_key=True)
    assert kind(of.call(Wire.MESSAGES, body(), "", 0.0, WALL)) is K.AUTHENTICATION
    assert of.count(body(), "", 0.0).status == 401
    assert of.models(None, "").status == 401


def test_prefix_is_written_once_and_read_only_after_the_response_began():
    of = service(latency=LatencyConfig(first_token_s=1.0, spread=0.0))
    tokens = len(LONG) // 4
    assert usage(ask(of, cached(LONG), 0.0)) == (3, tokens, 0)
    assert usage(ask(of, cached(LONG), 0.9)) == (3, tokens, 0)
    assert usage(ask(of, cached(LONG, tail="other"), 1.1)) == (4, 0, tokens)


@pytest.mark.parametrize(("ttl", "lives_s"), [("5m", 300.0), ("1h", 3600.0)])
def test_cache_entry_lives_for_its_time_from_its_last_use(ttl, lives_s):
    of = service(latency=LatencyConfig(first_token_s=0.0))
    of_key = cached(LONG, ttl=ttl)
    tokens = len(LONG) // 4
    ask(of, of_key, 0.0)
    assert usage(ask(of, of_key, lives_s - 1))[2] == tokens
    assert usage(ask(of, of_key, 2 * lives_s - 2))[2] == tokens
    assert usage(ask(of, of_key, 3 * lives_s))[2] == 0


def test_prefix_below_the_minimum_is_not_cached():
    of = service(cache=CacheConfig(min_tokens=5000))
    for now in (0.0, 10.0):
        assert usage(ask(of, cached(LONG), now))[1:] == (0, 0)


def test_breakpoint_that_moves_on_reads_what_was_written_before():
    of = service(latency=LatencyConfig(first_token_s=0.0))
    ask(of, cached(LONG), 0.0)
    turns = [
        {
            "role": "user",
            "content": [{"type": "text", "text": LONG}, {"type": "text", "text": "go"}],
        },
        {"role": "assistant", "content": "went"},
        {"role": "user", "content": "and on"},
    ]
    grown = body(messages=turns, cache_control={"type": "ephemeral"})
    assert usage(ask(of, grown, 1.0))[2] == len(LONG) // 4


def test_cache_reads_do_not_count_as_input():
    config = GroupConfig(rpm=None, otpm=None, itpm=120_000, burst_s=1.0)
    of = service(quota=config, latency=LatencyConfig(first_token_s=0.0))
    assert ask(of, cached(LONG), 0.0).status == 200
    assert [ask(of, cached(LONG), 0.5).status for _ in range(20)] == [200] * 20
    assert ask(of, body(LONG + LONG), 0.5).status == 429


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("server_error", K.SERVER_ERROR),
        ("overloaded", K.OVERLOADED),
        ("ramp_limited", K.RAMP_LIMITED),
        ("overloaded_mid_stream", K.OVERLOADED),
        ("spend_limit", K.SPEND_LIMIT),
        ("gateway_timeout", K.TIMEOUT),
        ("billing", K.BILLING),
    ],
)
@pytest.mark.parametrize("wire", list(Wire))
def test_fault_is_classified_as_what_it_is_on_both_wires(wire, fault, expected):
    assert kind(ask(service(faults={fault: 1.0}), wire=wire)) is expected


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("fault", ["truncated_stream", "cut_stream"])
def test_stream_fault_leaves_out_the_end_and_charges_what_was_written(wire, fault):
    whole, broken = service(), service(faults={fault: 1.0})
    served = ask(broken, body(stream=True), wire=wire)
    assert served.ending is (Ending.CUT if fault == "cut_stream" else Ending.EARLY)
    assert b"message_stop" not in served.pieces[-1].data
    assert b"[DONE]" not in served.pieces[-1].data
    assert ask(whole, body(stream=True), wire=wire).ending is Ending.WHOLE
    assert broken.tokens["output"] < whole.tokens["output"]


def test_pieces_of_a_stream_are_in_the_order_of_time_and_end_at_the_end():
    pieces = ask(service(), body(stream=True)).pieces
    assert [p.at for p in pieces] == sorted(p.at for p in pieces)
    assert (pieces[0].at, pieces[-1].at) == (0.0, 1.0)


def test_bodies_are_read_as_the_same_answer_on_both_wires():
    persona = {"caller": PersonaConfig(outcomes={"tool_use": 1.0})}
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    tools = [{"name": "send", "input_schema": schema}]
    chat_tools = [{"type": "function", "function": {"name": "send", "parameters": schema}}]
    keys = {"personas": persona, "persona": "caller"}
    message = read_message(ask(service(**keys), body(tools=tools)).body)
    chat = read_chat(ask(service(**keys), body(tools=chat_tools), wire=Wire.CHAT).body)
    for found in (message, chat):
        assert found.stop_reason == "tool_use"
        assert [b["type"] for b in found.content] == ["text", "tool_use"]
        assert found.content[1]["input"] == {"to": "text"}


def test_request_with_a_seed_gets_its_own_answer_again_and_others_the_next():
    of = service()
    seeded = [orjson.loads(ask(of, body(seed=7)).body)["content"] for _ in range(5)]
    assert all(found == seeded[0] for found in seeded)
    others = {ask(of).body.count(b"the") for _ in range(20)}
    assert len(others) > 1


def test_counting_has_a_limit_of_its_own_and_the_same_count():
    of = service(count_tokens_rpm=60.0)
    counted = of.count(body(LONG), "key", 0.0)
    assert orjson.loads(counted.body)["input_tokens"] == usage(ask(of, body(LONG)))[0]
    statuses = [of.count(body(), "key", 0.0).status for _ in range(70)]
    assert statuses.count(200) == 59


def test_models_lists_what_is_configured():
    of = service(models={"a": ModelConfig(), "b": ModelConfig()}, only_listed=True)
    assert [m["id"] for m in orjson.loads(of.models(None, "k").body)["data"]] == ["a", "b"]
    assert of.models("a", "k").status == 200
    assert of.models("c", "k").status == 404


def test_stats_count_outcomes_and_name_no_key():
    of = service(persona="difficult")
    for _ in range(50):
        of.call(Wire.MESSAGES, body(), "planted-key-8831", 0.0, WALL)
    stats = of.stats(1.0)
    assert b"planted" not in stats
    found = orjson.loads(stats)
    assert sum(found["outcomes"]["m"].values()) == found["responses"]["200"] == 50


def test_stats_count_refusals_and_what_each_bucket_gave():
    of = service(quota=GroupConfig(rpm=60, itpm=None, otpm=6000, burst_s=2.0))
    served = [ask(of) for _ in range(5)]
    found = orjson.loads(of.stats(0.0))
    assert found["refused"] == {"requests": 3}
    assert found["responses"] == {"200": 2, "429": 3}
    assert found["quotas"][0]["requests"]["used"] == 2
    for one in served:
        of.finish(one, 100.0)
    end = orjson.loads(of.stats(100.0))
    assert end["quotas"][0]["output"]["used"] == pytest.approx(end["tokens"]["output"])


def test_group_without_headers_sends_none():
    of = service(quota=GroupConfig(headers=False))
    assert "ratelimit" not in of.head(ask(of), 0.0, WALL)
