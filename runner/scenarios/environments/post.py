"""What comes in: mail that is due, answers by the scenario's rules, mail that nobody can take. Pure."""

from __future__ import annotations

import re

from runner.core.identity import draw_unit
from runner.scenarios.environments.protocol import State


def delivered(state: State) -> State:
    """Return the state with what is due by now in the inbox."""
    due = [m for m in state["later"] if m["after_calls"] <= state["calls"]]
    if not due:
        return state
    arrived = [{**m, "date": state["now"]} for m in due]
    left = [m for m in state["later"] if m["after_calls"] > state["calls"]]
    return {**state, "inbox": [*state["inbox"], *arrived], "later": left}


def receive(state: State, sender: str, subject: str, body: str, *, after: int = 0) -> State:
    """Put a message into the inbox, now or `after` further calls."""
    mail = {
        "id": f"m{state['next']}",
        "from": sender,
        "from_name": "",
        "to": [state["address"]],
        "date": "" if after else state["now"],
        "subject": subject,
        "body": body,
        "after_calls": state["calls"] + after,
    }
    place = "later" if after else "inbox"
    return {**state, "next": state["next"] + 1, place: [*state[place], mail]}


def answered(state: State, address: str, subject: str, body: str, seed: int) -> State:
    """Let the rules, or the post office, answer a message to one address."""
    if address.lower() not in state["known"]:
        domain = address.partition("@")[2]
        text = f"Your message could not be delivered: {address} is not known here."
        return receive(state, f"postmaster@{domain}", f"Undeliverable: {subject}", text, after=1)
    said = f"{subject}\n{body}".lower()
    for i, rule in enumerate(state["answers"]):
        if rule["from"].lower() != address.lower() or rule["times"] < 1:
            continue
        if rule["mentions"] and not any(_says(said, m) for m in rule["mentions"]):
            continue
        if any(_says(said, m) for m in rule["not_mentions"]):
            continue
        if draw_unit(f"answer {rule['key']}", seed) >= rule["chance"]:
            continue
        rules = list(state["answers"])
        rules[i] = {**rule, "times": rule["times"] - 1}
        title = rule["subject"] or reply_subject(subject)
        after = max(0, rule["after_calls"])
        return receive({**state, "answers": rules}, rule["from"], title, rule["body"], after=after)
    return state


def _says(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text as whole words; `*` matches any ending."""
    words = r"\s+".join(re.escape(w).replace(r"\*", r"\w*") for w in phrase.split())
    return re.search(rf"(?<!\w){words}(?!\w)", text) is not None


def reply_subject(subject: str) -> str:
    """Return the subject of an answer."""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"
