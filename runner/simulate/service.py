"""What becomes of one call: key, model, quota, faults, answer, cache, money. Pure.

`Service` is told the time with every call and does no I/O, so that the HTTP server and a rehearsal
in virtual time share it. The order of checks: key, shape, model, storm, spend limit, quota, fault.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from runner.providers.headers import SIMULATED_HEADER
from runner.simulate.accounts import Account, Accounts
from runner.simulate.answers import Draws, answer, draws_of, latency_of
from runner.simulate.bodies import (
    Piece,
    Told,
    chat_body,
    chat_events,
    message_body,
    message_events,
    sse,
)
from runner.simulate.cache import NOTHING, CacheUse
from runner.simulate.catalogue import model_facts, models_page, rate_limits_page
from runner.simulate.config import SimulateConfig
from runner.simulate.errors import ERRORS, ApiError, error_body
from runner.simulate.limits import Limit, Permit, Quota, Refused
from runner.simulate.quota_headers import chat_headers, http_date, messages_headers, retry_after
from runner.simulate.request import Asked, BadRequestError, Wire, read_request

STREAM_FAULTS = {
    "overloaded_mid_stream": "an `error` event in a stream; HTTP 529 to a call without stream",
    "truncated_stream": "the stream ends properly, but too early",
    "cut_stream": "the connection drops in the middle of the body",
}
"""Faults beside those of `ERRORS`, with what they do."""

_SLOTS = 1 << 20
_LIMIT_TEXT = {
    Limit.REQUESTS: "requests per minute",
    Limit.INPUT: "input tokens per minute",
    Limit.OUTPUT: "output tokens per minute",
}


class Ending(StrEnum):
    """How a response ends."""

    WHOLE = "whole"
    EARLY = "early"
    """Properly, but without its last part."""
    CUT = "cut"
    """With a dropped connection."""


@dataclass(slots=True, kw_only=True, eq=False)
class Served:
    """A response and its timetable, in seconds after the call."""

    wire: Wire
    status: int
    request_id: str
    body: bytes = b""
    pieces: tuple[Piece, ...] = ()
    """A stream's; then there is no body."""
    first_s: float = 0.0
    """Until a stream begins."""
    seconds: float = 0.0
    """Of generation after that; a body is sent at the end of it."""
    ending: Ending = Ending.WHOLE
    retry_after_s: int | None = None
    quota: Quota | None = None
    permit: Permit | None = None
    headers: bool = False
    """The quota's headers are wanted."""


class Service:
    """A simulated API."""

    def __init__(self, config: SimulateConfig, now: float) -> None:
        """Start with full buckets and empty caches."""
        self.config = config
        self._start = now
        self._accounts = Accounts(config)
        self._answers = array("I", bytes(4 * _SLOTS))
        self._calls = 0
        self.running = 0
        """Admitted calls that have not ended."""
        self.statuses: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """429s by limit."""
        self.outcomes: dict[str, Counter[str]] = {}
        self.tokens: Counter[str] = Counter()

    # What can be asked

    def call(self, wire: Wire, body: bytes, key: str, now: float, wall: float) -> Served:
        """Decide one call.

        Args:
            wire: which API's.
            body: the request's.
            key: empty for none.
            now: seconds, never running backwards.
            wall: Unix seconds.
        """
        served = self._served(wire)
        found = self._readable(served, body, key, counting=False)
        if found is None:
            return served
        account = self._accounts.of(key, now)
        quota = self._accounts.quota(account, found.model, now)
        served.quota = quota
        served.headers = self._accounts.group(found.model).headers
        if any(s.after_s <= now - self._start < s.after_s + s.for_s for s in self.config.storms):
            return self._fail(served, ERRORS["overloaded"])
        spend = self.config.spend
        if spend is not None and account.spent_usd >= spend.usd:
            return self._fail(served, ERRORS["spend_limit"])
        cache = self._accounts.cache(account, found.model)
        use = cache.look(found.prefixes, now) if found.prefixes else NOTHING
        permit = quota.admit(found.input_tokens - use.read, found.max_tokens, now)
        if isinstance(permit, Refused):
            return self._refuse(served, permit)
        served.permit = permit
        self.running += 1
        self._answer(served, found, account, use=use, now=now, wall=int(wall))
        if served.status == 200 and found.prefixes:
            cache.write(found.prefixes, now, now + served.first_s)
        return served

    def count(self, body: bytes, key: str, now: float) -> Served:
        """Answer a call of `count_tokens`."""
        served = self._served(Wire.MESSAGES)
        found = self._readable(served, body, key, counting=True)
        if found is None:
            return served
        counting = self._accounts.of(key, now).counting
        if not counting.take(1, now):
            return self._refuse(
                served, Refused(limit=Limit.REQUESTS, wait_s=counting.wait_s(1, now))
            )
        return self._whole(served, {"input_tokens": found.input_tokens})

    def models(self, model: str | None, key: str) -> Served:
        """Answer `GET /v1/models`, of one model or of all that are listed."""
        served = self._served(Wire.MESSAGES)
        if self.config.require_key and not key:
            return self._fail(served, ERRORS["authentication"])
        if model is None:
            return self._whole(served, models_page(self.config))
        if not self._accounts.knows(model):
            return self._fail(served, _unknown(model))
        return self._whole(served, model_facts(model))

    def rate_limits(self, query: Mapping[str, str], key: str) -> Served:
        """Answer `GET /v1/organizations/rate_limits`; any key will do where the API wants an admin's."""
        served = self._served(Wire.MESSAGES)
        if self.config.require_key and not key:
            return self._fail(served, ERRORS["authentication"])
        try:
            page = rate_limits_page(self.config, query)
        except ValueError as error:
            problem = ApiError(status=400, type="invalid_request_error", message=str(error))
            return self._fail(served, problem)
        if page is None:
            return self._fail(served, _unknown(query["model"]))
        return self._whole(served, page)

    def refuse_size(self, wire: Wire) -> Served:
        """Answer a body that is too large to be read: a proxy's page, not the API's."""
        return self._fail(self._served(wire), ERRORS["too_large"])

    def no_such_path(self, path: str) -> Served:
        """Answer a path that is not simulated."""
        error = ApiError(status=404, type="not_found_error", message=f"no such path: {path}")
        return self._fail(self._served(Wire.MESSAGES), error)

    def head(self, served: Served, now: float, wall: float) -> str:
        """Return the header lines of a response at the moment it begins."""
        chat = served.wire is Wire.CHAT
        lines = f"{'x-request-id' if chat else 'request-id'}: {served.request_id}\r\n"
        lines += f"{SIMULATED_HEADER}: 1\r\ndate: {http_date(int(wall))}\r\n"
        if not chat:
            lines += "anthropic-organization-id: simulated\r\n"
        if served.retry_after_s is not None:
            lines += f"retry-after: {served.retry_after_s}\r\n"
        if served.quota is not None and served.headers:
            gauges = served.quota.gauges(now)
            lines += chat_headers(gauges) if chat else messages_headers(gauges, wall)
        return lines

    def finish(self, served: Served, now: float, *, early: bool = False) -> None:
        """Note that a response has ended; early: its client has gone before."""
        if served.quota is not None and served.permit is not None:
            served.quota.finish(served.permit, now, early=early)
            served.permit = None
            self.running -= 1

    def stats(self, now: float) -> bytes:
        """Return counts of everything since the start as JSON; keys are numbered, not named."""
        return orjson.dumps(
            {
                "seconds": now - self._start,
                "responses": self.statuses,
                "refused": self.refused,
                "outcomes": self.outcomes,
                "tokens": self.tokens,
                "spent_usd": self._accounts.spent_usd(),
                "quotas": self._accounts.levels(now),
            }
        )

    # Steps of a call

    def _served(self, wire: Wire) -> Served:
        self._calls += 1
        return Served(wire=wire, status=200, request_id=f"req_simulated_{self._calls}")

    def _readable(self, served: Served, body: bytes, key: str, *, counting: bool) -> Asked | None:
        """Return the request, or None after `served` has become the refusal."""
        if self.config.require_key and not key:
            self._fail(served, ERRORS["authentication"])
            return None
        try:
            found = read_request(served.wire, body, counting=counting)
        except BadRequestError as error:
            problem = ApiError(status=400, type="invalid_request_error", message=str(error))
            self._fail(served, problem)
            return None
        if not self._accounts.knows(found.model):
            self._fail(served, _unknown(found.model))
            return None
        return found

    def _answer(
        self,
        served: Served,
        asked: Asked,
        account: Account,
        *,
        use: CacheUse,
        now: float,
        wall: int,
    ) -> None:
        config, model = self.config, self._accounts.model(asked.model)
        number = self._next_number(asked.digest)
        draws = draws_of(config.seed, asked.digest, number)
        fault = self._fault(draws.fault)
        if fault == "overloaded_mid_stream" and not asked.stream:
            fault = "overloaded"
        self.tokens["input"] += asked.input_tokens - use.read
        self.tokens["cache_read"] += use.read
        if fault is not None and fault in ERRORS:
            self._fail(served, ERRORS[fault])
            self.finish(served, now)
            return
        if asked.seeded:
            draws = draws_of(config.seed, asked.digest, 0)
        persona = config.personas[model.persona or config.persona]
        given = answer(persona, model.output or config.output, asked, draws)
        latency = latency_of(model.latency or config.latency, given.output_tokens, draws.pace)
        served.first_s, served.seconds = latency
        told = Told(
            request_id=served.request_id,
            model=asked.model,
            answer=given,
            input_tokens=asked.input_tokens - use.read - use.written,
            cache=use,
            created=wall,
        )
        share = self._write(served, asked, told, fault, draws)
        if fault is None:
            self.statuses["200"] += 1
            if given.decides:
                self.outcomes.setdefault(asked.model, Counter())[given.outcome] += 1
        else:
            self.statuses[fault] += 1
        self._charge(served, account, told, share, now)

    def _write(
        self, served: Served, asked: Asked, told: Told, fault: str | None, draws: Draws
    ) -> float:
        """Fill in body or stream; returns the share of the generation that is carried out."""
        chat = asked.wire is Wire.CHAT
        if not asked.stream:
            served.body = chat_body(told) if chat else message_body(told)
            served.ending = Ending.WHOLE if fault is None else Ending.CUT
            return 1.0
        pieces = tuple(
            chat_events(told, usage=asked.stream_usage) if chat else message_events(told)
        )
        if fault is None:
            served.pieces = pieces
            return 1.0
        # At least the first piece, never one that is sent when all is written.
        kept = [p for p in pieces if p.at <= draws.fault_at and p.at < 1] or [pieces[0]]
        if fault == "overloaded_mid_stream":
            served.ending = Ending.EARLY
            body = error_body(ERRORS["overloaded"], served.request_id, chat=chat)
            event = b"data: %b\n\n" % body if chat else sse("error", orjson.loads(body))
            kept.append(Piece(kept[-1].at, event))
        else:
            served.ending = Ending.CUT if fault == "cut_stream" else Ending.EARLY
        served.pieces = tuple(kept)
        share = kept[-1].at
        served.seconds *= share
        served.pieces = tuple(Piece(p.at / share if share else 0.0, p.data) for p in kept)
        return share

    def _charge(
        self, served: Served, account: Account, told: Told, share: float, now: float
    ) -> None:
        tokens = round(told.answer.output_tokens * share)
        self.tokens["output"] += tokens
        if served.quota is not None and served.permit is not None:
            start = now + served.first_s
            served.quota.produce(served.permit, tokens, start, served.seconds)
        spend = self.config.spend
        # A refusal before any output is not billed; one in the middle of it is.
        unbilled = told.answer.stop_reason == "refusal" and not told.answer.content
        if spend is not None and not unbilled:
            cache = told.cache
            weighted = told.input_tokens + 1.25 * cache.written + 0.1 * cache.read
            money = weighted * spend.input_usd + tokens * spend.output_usd
            account.spent_usd += money / 1e6

    def _fault(self, draw: float) -> str | None:
        edge = 0.0
        for name, share in self.config.faults.items():
            edge += share
            if draw < edge:
                return name
        return None

    def _next_number(self, digest: bytes) -> int:
        """Count the answers to a request; a fixed table, since a sweep may have millions."""
        slot = int.from_bytes(digest[:4], "big") % _SLOTS
        number = self._answers[slot]
        self._answers[slot] = (number + 1) & 0xFFFFFFFF
        return number

    def _refuse(self, served: Served, refused: Refused) -> Served:
        served.retry_after_s = retry_after(refused.wait_s)
        self.refused[refused.limit.value] += 1
        if refused.limit is Limit.RAMP:
            return self._fail(served, ERRORS["ramp_limited"])
        text = _LIMIT_TEXT[refused.limit]
        error = ApiError(
            status=429,
            type="rate_limit_error",
            message=f"This request would exceed the limit of {text} of your quota.",
        )
        return self._fail(served, error)

    def _fail(self, served: Served, error: ApiError) -> Served:
        name = str(error.status) if error.code is None else f"{error.status} {error.code}"
        self.statuses[name] += 1
        served.status = error.status
        if served.retry_after_s is None:
            served.retry_after_s = error.retry_after_s
        served.body = error_body(error, served.request_id, chat=served.wire is Wire.CHAT)
        return served

    def _whole(self, served: Served, body: object) -> Served:
        self.statuses[str(served.status)] += 1
        served.body = orjson.dumps(body)
        return served


def _unknown(model: str) -> ApiError:
    return ApiError(status=404, type="not_found_error", message=f"model: {model}")
