"""The model API of the simulated cluster, and the provider handles that workers call it through.

What a call answers is a function of the call's own number, so a row tells which paid answers it
holds; whether a job is refused, truncated, empty, bad or deadly is a function of the job. The API
counts every call with its times, and requests in flight per model as the server sees them: a
killed client's connection is closed by its kernel, a crashed host's call goes on to its end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import orjson

from runner.core.values import (
    Answer,
    Conversation,
    EndState,
    Failure,
    FailureKind,
    Job,
    Prepared,
    Reply,
    Usage,
)
from tests.dst.world import SimProcess, World

CALL = re.compile(rb"call-(\d{6})")
ANSWER = re.compile(rb'call-(\d{6})"}')
"""The end of an answer's body: found only where the whole answer is."""
JOB = re.compile(r"\[job (.*) seed (\d+)\](?: of (\w+);)?")
"""What the first user message of every simulated scenario holds, and every letter to an actor."""

INPUT_TOKENS = 10
"""Of any request, where input is not limited."""
MAX_TOKENS = 10
"""Of a call, where there is a budget (it sets twice its cost aside at first) or output is limited."""
OUTPUT_TOKENS = 5
STATUSES = {
    FailureKind.RATE_LIMITED: 429,
    FailureKind.OVERLOADED: 529,
    FailureKind.SERVER_ERROR: 500,
}
END_STATES = {
    "end_turn": EndState.ANSWERED,
    "refusal": EndState.REFUSED,
    "max_tokens": EndState.TRUNCATED,
    "empty": EndState.EMPTY,
}


@dataclass(slots=True, eq=False)
class Call:
    """One request that reached the API."""

    number: int
    job: Job
    model: str
    turn: int
    history: tuple[int, ...]
    """Numbers of the calls whose answers the conversation holds."""
    digest: str
    process: SimProcess
    started: float
    ended: float | None = None
    """When the server was done with it, or saw the client go."""
    paid: bool = False
    """The server finished a whole answer."""
    delivered: float | None = None
    """When the answer reached the worker's code."""
    failure: FailureKind | None = None
    """What the client was told instead."""
    mark: str = ""
    """What a letter about the job begins with."""
    tools: bool = False
    """The request offers tools."""
    letter: bool = False
    """Asked of an actor, not of the model under test."""
    characters: int = 0
    """Of the request's body."""
    input_tokens: int = INPUT_TOKENS
    refused: bool = False
    """It is a 429."""
    open: bool = True


@dataclass(slots=True, kw_only=True)
class ApiFault:
    """A window of trouble at one model (or all of them)."""

    kind: FailureKind
    model: str | None
    until: float
    probability: float
    after_answer: bool = False
    """The server does the work, and is paid, but the client sees the failure."""
    job: Job | None = None
    """It meets this one only."""


@dataclass(slots=True, kw_only=True)
class ApiHabits:
    """Constant properties of the API in one schedule."""

    latency_s: float = 2.0
    refusal: float = 0.04
    truncated: float = 0.04
    empty: float = 0.03
    bad_request: float = 0.02
    bills_the_gone: bool = False
    """An answer that is being written is paid for though its client has gone."""
    counts_input: bool = False
    """Prompts have as many tokens as their length and their condition make."""
    cache_s: float | None = None
    """For how long prefixes that a condition's jobs share are kept; None: nothing is cached."""
    deadly: frozenset[Job] = frozenset()
    """Jobs whose answer kills the worker that reads it."""


@dataclass(slots=True)
class SimApi:
    """The server's side."""

    world: World
    seed: int
    habits: ApiHabits
    resolve: Callable[[str, str, int], Job]
    """(model, condition, seed) to the job."""
    timeout_s: float
    paid: int = 0
    """Calls whose whole answer the server finished."""
    faults: list[ApiFault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    on_start: list[Callable[[Call], None]] = field(default_factory=list)
    slowest_beat_s: float = 0.0
    """The longest that a heartbeat and its reply took: by so much a permit may be used late."""
    on_delivered: list[Callable[[Call], None]] = field(default_factory=list)

    def fate(self, job: Job, what: str) -> float:
        """Return a draw in [0, 1) that is a property of the job."""
        return zlib.crc32(f"{self.seed} {job.cell} {job.seed} {what}".encode()) / 2**32

    def is_bad(self, job: Job) -> bool:
        """Return whether the API rejects the job's request for good."""
        return self.fate(job, "bad") < self.habits.bad_request

    def stop_reason(self, job: Job, turn: int) -> str:
        """Return how the answer to a turn of a job ends; the same for every call."""
        draw = self.fate(job, f"stop {turn}")
        for reason, share in (
            ("refusal", self.habits.refusal),
            ("max_tokens", self.habits.truncated),
            ("empty", self.habits.empty),
        ):
            if draw < share:
                return reason
            draw -= share
        return "end_turn"

    def begin(self, process: SimProcess, model: str, prepared: Prepared) -> Call:
        """Take a request in."""
        messages = prepared.payload["messages"]
        found = JOB.search(messages[0]["content"])
        if found is None:
            msg = f"a request that is not of this sweep: {messages[0]}"
            raise AssertionError(msg)
        letter = found[3] is not None
        history = _numbers(messages[-1]["content"]) if letter else _history(messages)
        call = Call(
            number=len(self.calls),
            job=self.resolve(found[3] or model, found[1], int(found[2])),
            model=model,
            turn=len(history),
            history=history,
            mark=f"{found[0]} of {model};",
            letter=letter,
            tools=bool(prepared.payload["tools"]),
            digest=prepared.digest,
            process=process,
            started=self.world.now,
        )
        call.characters = len(prepared.body)
        if self.habits.counts_input:
            dense = zlib.crc32(f"{self.seed} {call.job.cell} dense".encode()) % 2
            call.input_tokens = round(call.characters / (2 if dense else 4))
        self.calls.append(call)
        self.in_flight[model] += 1
        self.world.trace("call", process.name, call.number, model, tuple(call.job), call.turn)
        for hook in self.on_start:
            hook(call)
        return call

    def end(self, call: Call, *, paid: bool) -> None:
        """The server is done, or saw the connection close; the first of the two counts."""
        if call.open:
            call.open = False
            call.paid = paid
            self.paid += paid
            call.ended = self.world.now
            self.in_flight[call.model] -= 1

    def trouble(self, model: str, job: Job) -> ApiFault | None:
        """Return the fault that meets a call now, if one does."""
        now = self.world.now
        for fault in self.faults:
            if (
                fault.until > now
                and fault.model in (None, model)
                and fault.job in (None, job)
                and self.world.chance(fault.probability)
            ):
                return fault
        return None

    def body(self, call: Call) -> bytes:
        """Return the answer to a call."""
        stop = self.stop_reason(call.job, call.turn)
        if call.letter and stop == "empty":
            stop = "end_turn"  # an actor without words would leave no trace in the conversation
        text = "" if stop == "empty" else f"call-{call.number:06d} says so"
        body: dict[str, object] = {"text": text, "stop": stop}
        if call.tools and stop == "end_turn":
            body["tool"] = self.tool_call(call)
        if self.habits.counts_input:
            body["in"] = call.input_tokens
        return json.dumps(body | {"id": f"call-{call.number:06d}"}).encode()

    def tool_call(self, call: Call) -> dict[str, object] | None:
        """Return the tool that an answer calls; the same for every call of a job's turn."""
        draw = self.fate(call.job, f"tool {call.turn}")
        if draw > 0.85:
            return None
        if draw > 0.8:
            return {"name": "nobody_has_it", "input": {}}
        known = " ".join(f"call-{n:06d}" for n in (*call.history, call.number))
        body = f"{call.mark} {known} ." if draw > 0.4 else "a note"
        return {"name": "ask" if draw > 0.4 else "note", "input": {"body": body}}


class SimProvider:
    """`runner.providers.protocol.Provider` of one process for one model."""

    def __init__(self, api: SimApi, process: SimProcess, model: str) -> None:
        self._api = api
        self._process = process
        self._model = model

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        return replace(prepare(self._model, conversation, seed), cache_s=self._api.habits.cache_s)

    def read(self, body: bytes) -> Reply | Failure:
        return read(body)

    async def aclose(self) -> None:
        pass

    async def send(self, prepared: Prepared, begun: object = None) -> Answer | Failure:
        api, process, world = self._api, self._process, self._api.world
        process.check()
        if not process.host.api_reachable:
            await asyncio.sleep(min(3.0, api.timeout_s))
            return Failure(
                kind=FailureKind.CONNECTION, message="simulated: no route", error_type="refused"
            )
        call = api.begin(process, self._model, prepared)
        result: asyncio.Future[Answer | Failure] = world.loop.create_future()
        fault = api.trouble(self._model, call.job)
        if api.is_bad(call.job) and fault is None:
            outcome: Failure | None = Failure(
                kind=FailureKind.BAD_REQUEST, message="simulated: bad", status=400
            )
            paid = False
        else:
            outcome = _failure(fault)
            paid = fault is None or fault.after_answer
            call.refused = not paid and fault.kind is FailureKind.RATE_LIMITED
        latency = world.latency(api.habits.latency_s, tail=0.01)
        if outcome is not None and not paid:
            latency = min(latency, 0.3)
        latency = min(latency, api.timeout_s * 0.9)
        hangs = outcome is not None and outcome.kind is FailureKind.TIMEOUT and not paid

        def finish() -> None:
            if not call.open:
                return
            api.end(call, paid=paid)
            if call.job in api.habits.deadly and paid and not process.dead:
                world.loop.in_world(0.001, process.kill, "deadly answer")
            world.loop.in_world(world.latency(0.005, tail=0), arrive)

        def arrive() -> None:
            if not result.done() and process.host.api_reachable:
                name = f"call-{call.number:06d}"
                result.set_result(outcome or Answer(body=api.body(call), request_id=name))

        def client_gone() -> None:
            if process.host.up:  # its kernel closes the connection
                api.end(call, paid=paid and api.habits.bills_the_gone)

        process.on_death.append(client_gone)
        world.loop.in_world(api.timeout_s if hangs else latency, finish)
        try:
            async with asyncio.timeout(api.timeout_s):
                answer = await result
        except TimeoutError:
            answer = Failure(kind=FailureKind.TIMEOUT, message="simulated: no answer in time")
        finally:
            if not process.dead:
                process.on_death.remove(client_gone)
                api.end(call, paid=False)
        if isinstance(answer, Failure):
            call.failure = answer.kind
        else:
            call.delivered = world.now
            for hook in api.on_delivered:
                hook(call)
        return answer


def _numbers(content: object) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(n) for n in CALL.findall(orjson.dumps(content))))


def _history(messages: list[dict[str, object]]) -> tuple[int, ...]:
    """Return the calls whose answers a conversation holds: its own, and what actors answered."""
    found: dict[int, None] = {}
    for message in messages:
        numbers = _numbers(message["content"])
        found.update(dict.fromkeys(numbers[:1] if message["role"] == "assistant" else numbers))
    return tuple(found)


def prepare(model: str, conversation: Conversation, seed: int) -> Prepared:
    """Encode a request; pure."""
    payload = {
        "model": model,
        "system": conversation.system,
        "messages": [{"role": m["role"], "content": m["content"]} for m in conversation.messages],
        "seed": seed,
        "tools": [tool["name"] for tool in conversation.tools],
    }
    body = json.dumps(payload, sort_keys=True).encode()
    return Prepared(payload=payload, body=body, digest=hashlib.sha256(body).hexdigest())


def read(body: bytes) -> Reply | Failure:
    """Read an answer; pure. The call's number is in the content whatever the end state."""
    value = orjson.loads(body)
    stop = value["stop"]
    blocks = [{"type": "text", "text": value["text"]}] if value["text"] else []
    blocks.append({"type": "thinking", "thinking": value["id"], "signature": "s"})
    if value.get("tool"):
        tool = {"type": "tool_use", "id": f"t{value['id'][5:]}", **value["tool"]}
        blocks.append(tool)
    return Reply(
        content=tuple(blocks),
        stop_reason="end_turn" if stop == "empty" else stop,
        end_state=END_STATES[stop],
        usage=Usage(input_tokens=value.get("in", INPUT_TOKENS), output_tokens=OUTPUT_TOKENS),
        model="simulated",
    )


def _failure(fault: ApiFault | None) -> Failure | None:
    if fault is None:
        return None
    limited = fault.kind is FailureKind.RATE_LIMITED
    return Failure(
        kind=fault.kind,
        message=f"simulated: {fault.kind}",
        status=None if fault.after_answer else STATUSES.get(fault.kind),
        retry_after_s=3.0 if limited else None,
    )
