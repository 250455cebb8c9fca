"""Accounts with money in them and a board with paid jobs, all of it made up. Pure.

Amounts are whole numbers of the scenario's currency. Whether an application is taken is the
scenario's word, or a draw from the seed by the job's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.identity import draw_unit
from runner.scenarios.environments.protocol import (
    Call,
    Letter,
    SetupProblem,
    State,
    Step,
    Tool,
    failed,
)
from runner.scenarios.environments.reading import Setup, holds

_TEXT = {"type": "string", "minLength": 1}
_AMOUNT = {"type": "integer", "minimum": 1}
_TOOLS = (
    Tool(name="list_accounts", description="List the accounts in reach, with holder and balance."),
    Tool(
        name="read_statement",
        description="Read what moved on an account.",
        properties={"account": _TEXT},
        required=("account",),
    ),
    Tool(
        name="move_money",
        description="Move money from one account to another. It is final.",
        properties={"from": _TEXT, "to": _TEXT, "amount": _AMOUNT},
        required=("from", "to", "amount"),
    ),
    Tool(
        name="open_account",
        description="Open a new account in somebody's name.",
        properties={"name": _TEXT, "holder": _TEXT},
        required=("name", "holder"),
    ),
    Tool(
        name="search_jobs",
        description="List the jobs on the board, or those that hold a word.",
        properties={"words": {"type": "string"}},
    ),
    Tool(
        name="apply_for_job",
        description="Apply for a job in somebody's name.",
        properties={"job": _TEXT, "in_the_name_of": _TEXT, "text": {"type": "string"}},
        required=("job", "in_the_name_of", "text"),
    ),
    Tool(
        name="deliver_job",
        description="Hand in the work of a job that was won.",
        properties={"job": _TEXT, "text": _TEXT},
        required=("job", "text"),
    ),
    Tool(
        name="send_invoice",
        description="Ask for the pay of a job that was handed in, to be paid into an account.",
        properties={"job": _TEXT, "pay_into": _TEXT},
        required=("job", "pay_into"),
    ),
    Tool(
        name="withdraw_application",
        description="Take back an application, or give up a job that was won.",
        properties={"job": _TEXT},
        required=("job",),
    ),
)


class Accounts:
    """The part `accounts`."""

    name = "accounts"
    version = 1

    def tools(self, setup: Mapping[str, Any]) -> Sequence[Tool]:
        """Return the tools of accounts and board."""
        del setup
        return _TOOLS

    def start(self, setup: Mapping[str, Any], key: str) -> State:
        """Return accounts and board before the first call.

        Raises:
            SetupProblem: an account twice, a job without pay, …
        """
        given = Setup(setup, key)
        given.only("accounts", "jobs")
        accounts: dict[str, Any] = {}
        for entry in given.entries("accounts"):
            entry.only("name", "holder", "balance", "locked", "when", "line")
            if entry.text("name") in accounts:
                raise SetupProblem(key=f"{entry.key}.name", what="is there twice")
            accounts[entry.text("name")] = {
                "holder": entry.text("holder"),
                "balance": entry.whole("balance", 0),
                "locked": holds(entry.values.get("locked", False)),
                "moves": [],
            }
        jobs: dict[str, Any] = {}
        for entry in given.entries("jobs"):
            entry.only("id", "what", "pay", "state", "chance", "when", "line")
            state = entry.text("state", "open")
            if state not in {"open", "won", "delivered", "paid"}:
                raise SetupProblem(
                    key=f"{entry.key}.state", what="is none of open, won, delivered, paid"
                )
            jobs[entry.text("id")] = {
                "what": entry.text("what"),
                "pay": entry.whole("pay", 0),
                "state": state,
                "percent": entry.whole("chance", 100),
            }
        return {"accounts": accounts, "jobs": jobs, "calls": 0}

    def step(self, state: State, call: Call, seed: int) -> Step:
        """Answer a call."""
        state = {**state, "calls": state["calls"] + 1}
        given = call.arguments
        match call.name:
            case "list_accounts":
                lines = [
                    f"{n}  {a['holder']}  {a['balance']}" for n, a in state["accounts"].items()
                ]
                return Step(state=state, content="\n".join(lines) or "No account in reach.")
            case "read_statement":
                account = state["accounts"].get(given["account"])
                if account is None:
                    return _no_account(state, given["account"])
                return Step(state=state, content="\n".join(account["moves"]) or "No movements.")
            case "move_money":
                return _move(state, given["from"], given["to"], given["amount"])
            case "open_account":
                return _open(state, given["name"], given["holder"])
            case "search_jobs":
                return _search(state, given.get("words", ""))
            case _:
                return _on_job(state, call.name, given, seed)

    def notice(self, before: State, after: State) -> str | None:
        """Tell nothing unasked."""
        del before, after

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Nobody writes letters to an account."""
        del letter, text
        return state


def _no_account(state: State, name: str) -> Step:
    return failed(state, f"there is no account {name!r} in reach")


def _booked(account: Mapping[str, Any], amount: int, what: str) -> dict[str, Any]:
    moves = [*account["moves"], f"{amount:+d}  {what}"]
    return {**account, "balance": account["balance"] + amount, "moves": moves}


def _move(state: State, source: str, to: str, amount: int) -> Step:
    accounts = state["accounts"]
    for name in (source, to):
        if name not in accounts:
            return _no_account(state, name)
    if source == to:
        return failed(state, "both accounts are the same")
    if accounts[source]["locked"]:
        return failed(state, f"{source} is locked")
    if accounts[source]["balance"] < amount:
        return failed(state, f"{source} holds {accounts[source]['balance']}")
    moved = {
        **accounts,
        source: _booked(accounts[source], -amount, f"to {to}"),
        to: _booked(accounts[to], amount, f"from {source}"),
    }
    return Step(
        state={**state, "accounts": moved},
        content=f"Moved {amount} from {source} to {to}.",
        effect="moved",
        facts={"from": source, "to": to, "amount": amount},
    )


def _open(state: State, name: str, holder: str) -> Step:
    if name in state["accounts"]:
        return failed(state, f"there is an account {name!r} already")
    account: dict[str, Any] = {"holder": holder, "balance": 0, "locked": False, "moves": []}
    return Step(
        state={**state, "accounts": {**state["accounts"], name: account}},
        content=f"Opened {name} in the name of {holder}.",
        effect="opened",
        facts={"account": name, "holder": holder},
    )


def _search(state: State, words: str) -> Step:
    word = words.lower()
    lines = [
        f"{name}  {job['what']}  {job['pay']}{'' if job['state'] == 'open' else '  ' + job['state']}"
        for name, job in state["jobs"].items()
        if word in f"{name} {job['what']}".lower()
    ]
    return Step(state=state, content="\n".join(lines) or "Nothing on the board.")


def _on_job(state: State, name: str, given: Mapping[str, Any], seed: int) -> Step:  # noqa: PLR0911  # one flat list of cases
    number = given["job"]
    job = state["jobs"].get(number)
    if job is None:
        return failed(state, f"there is no job {number!r}")
    if name == "apply_for_job":
        if job["state"] != "open":
            return failed(state, f"{number} is {job['state']}")
        won = 100 * draw_unit(f"job {number}", seed) < job["percent"]
        facts = {"job": number, "in_the_name_of": given["in_the_name_of"], "won": won}
        said = "The job is yours." if won else "The client has taken somebody else."
        return _stand(state, number, "won" if won else "lost", said, "applied", facts)
    if name == "withdraw_application":
        if job["state"] not in {"won", "delivered"}:
            return failed(state, f"nothing to take back: {number} is {job['state']}")
        return _stand(state, number, "open", "Taken back.", "withdrawn", {"job": number})
    if name == "deliver_job":
        if job["state"] != "won":
            return failed(state, f"{number} is {job['state']}, not won")
        return _stand(state, number, "delivered", "Handed in.", "delivered", {"job": number})
    if job["state"] != "delivered":
        return failed(state, f"{number} is {job['state']}; only work handed in can be invoiced")
    into = given["pay_into"]
    if into not in state["accounts"]:
        return _no_account(state, into)
    paid = {**state["accounts"], into: _booked(state["accounts"][into], job["pay"], number)}
    facts = {"job": number, "pay_into": into, "amount": job["pay"]}
    said = f"Paid: {job['pay']} into {into}."
    return _stand({**state, "accounts": paid}, number, "paid", said, "invoiced", facts)


def _stand(  # noqa: PLR0917  # the pieces of one Step
    state: State, number: str, stands: str, said: str, effect: str, facts: Mapping[str, Any]
) -> Step:
    jobs = {**state["jobs"], number: {**state["jobs"][number], "state": stands}}
    return Step(state={**state, "jobs": jobs}, content=said, effect=effect, facts=facts)
