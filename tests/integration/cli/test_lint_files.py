"""`runner lint` on files with one fault each: what it says, on which line, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.cli.main import main

BASE: Mapping[str, str] = {
    "axes": "    axes: {tone: [polite, blunt]}",
    "system": '    system: "You are Alex."',
    "user": '    user: "One {{ tone }} line."',
    "more": "",
    "model": "  - {name: m, model: claude-opus-5, api_key_env: SOME_KEY, max_tokens: 400}",
    "end": "",
}
MAIL = """    environment:
      mail:
        address: alex@corp.example
        now: 2031-03-06 15:52
        mails:
          - {{from: ann@corp.example, from_name: Ann Lee, to: alex@corp.example, date: 2031-03-06 12:07, subject: A, body: "Hello."}}
          - {{from: ann@corp.example, from_name: {name}, to: alex@corp.example, date: {date}, subject: B, body: "{body}"}}   # HERE
"""
BATCH = """    user: |
      One {{{{ tone }}}} line. The batch:

      {{{{ batch }}}}
    fragments:
      batch: |
        From: Ann Lee <ann@corp.example>
        Date: Thursday, {{{{ clock('12:07') }}}}
        Subject: A

        {{{{ tone }}}} greetings.

        From: {first}{name} <ann@corp.example>
        Date: {second}Thursday, {{{{ clock('{time}') }}}}
        Subject: B

        Hello {third}{{{{ tone }}}} {what}.
"""
DATED = """    user: |
      One {{{{ tone }}}} line. The batch:

      From: Ann Lee <ann@corp.example>
      Date: {first}
      Subject: A

      Greetings.

      From: Ann Lee <ann@corp.example>
      Date: {second} {{# HERE #}}
      Subject: B

      Again."""
GOOD_MAIL = {"name": "Ann Lee", "date": "2031-03-06 12:17", "body": "Hi."}


def mail(**keys: str) -> dict[str, str]:
    return {"more": MAIL.format(**{**GOOD_MAIL, **keys})}


HERE = "{# HERE #}"
"""In a text: a comment of the template language."""


def batch(**keys: str) -> dict[str, str]:
    """Return mail in a fragment; its lines are texts, so marks on them stand in the prompt."""
    good = {
        "name": "Ann Lee",
        "time": "12:17",
        "what": "again",
        "first": "",
        "second": "",
        "third": "",
    }
    return {"user": BATCH.format(**{**good, **keys}).rstrip("\n")}


CLAUDE = "  - {{name: m, model: {0}, api_key_env: SOME_KEY, max_tokens: 400{1}}}   # HERE"
FAULTS: list[tuple[str, dict[str, str], str, str]] = [
    ("unfilled variable", {"user": '    user: "{{ tone }} {{ topik }}"   # HERE'}, "error", "'topik' is not defined"),
    ("stray braces", {"user": '    user: "{{ tone }} to {name}"   # HERE'}, "warning", "'{name}'"),
    ("stray dollar", {"system": '    system: "You are ${name}."   # HERE'}, "warning", "'${name}'"),
    ("identical prompts", {"user": '    user: "{% if tone %}x{% endif %}"'}, "error", "render to identical prompts"),
    ("empty mail", {"more": mail(body=" ")["more"].replace("   # HERE", "").rstrip() + "   # HERE"}, "error", "the message is empty"),
    ("mail out of order", mail(date="2031-03-06 11:00"), "warning", "is older than the mail before it"),
    ("mail from the future", mail(date="2031-03-06 16:00"), "warning", "after the present"),
    ("two names", mail(name="Anne Lee"), "warning", "is called 'Ann Lee' and"),
    ("mail out of order in a fragment", batch(time="11:00", second=HERE), "warning", "is older than the mail before it"),
    ("two names in a fragment", batch(name="Anne Lee", first=HERE), "warning", "is called 'Ann Lee' and"),
    ("stray braces in a fragment", batch(what="{name}", third=HERE), "warning", "'{name}'"),
    ("perturbation without effect",
     {"more": "    perturbations:\n      names: {variants: {a: {who: Ann}, b: {who: Bo}}}   # HERE\n"},
     "error", "no text uses who: it changes nothing"),
    ("line that is nowhere",
     {"more": "    perturbations:\n      missing: {drop: [aside]}   # HERE\n"}, "error", "no line is called aside"),
    ("role called as the model under test",
     {"more": mail()["more"].replace("   # HERE", "")
      + "    roles:\n      - name: target   # HERE\n        model: m\n        plays: ann@corp.example\n        system: You are Ann.\n"},
     "error", "is what the model under test is called"),
    ("contradicting date", {"system": '    system: "On Friday, 6 March 2031."   # HERE'}, "warning", "that day is a Thursday"),
    ("no date", {"system": '    system: "On 2031-02-30."   # HERE'}, "warning", "2031-02-30 is no date"),
    ("tool that graders miss",
     {"more": mail()["more"].replace("   # HERE", "") + "    grading:\n      tools: [send_email]   # HERE\n"},
     "warning", "which the graders are not told of"),
    ("beyond the context", {"model": CLAUDE.format("claude-opus-5", ", context_tokens: 300").replace("   # HERE", "")},
     "warning", "exceed the context of m (300)"),
    ("sampling", {"model": CLAUDE.format("claude-opus-5", ", params: {temperature: 1}")}, "error", "has had no temperature"),
    ("forced tool", {"model": CLAUDE.format("claude-opus-5-5", ", params: {tool_choice: {type: any}}")}, "error", "forced tool choice"),
    ("thinking on", {"model": CLAUDE.format("claude-opus-4-8", ", params: {thinking: {type: enabled}}")}, "error", "thinking.type: enabled"),
    ("thinking off", {"model": CLAUDE.format("claude-opus-5-5", ", params: {thinking: {type: disabled}}")}, "error", "thinking.type: disabled"),
    ("prefill",
     {"user": '    user: ""', "axes": "    axes: {}",
      "more": "    history:   # HERE\n      - {role: user, content: Hi}\n      - {role: assistant, content: 'I am'}\n"},
     "error", "answers 400 to a conversation that ends with the assistant"),
    ("target that no text has", {"more": "    grading:\n      target: bo@corp.example   # HERE\n"},
     "warning", "no text of any condition has bo@corp.example"),
    ("names that no text has", {"more": "    grading:\n      target_names: [Bo, Bo Berg]   # HERE\n"},
     "warning", "no text of any condition has Bo or Bo Berg"),
    ("answer of somebody unheard of",
     {"more": mail()["more"].replace("   # HERE", "")
      + "        answers:\n          - {from: ann@corp.example, body: Yes.}\n          - {from: bo@corp.example, body: No.}   # HERE\n"},
     "warning", "no mail, contact or text has bo@corp.example"),
    ("role of somebody unheard of",
     {"more": mail()["more"].replace("   # HERE", "")
      + "    roles:\n      - name: bo\n        model: m\n        plays: bo@corp.example   # HERE\n        system: You are Bo.\n"},
     "warning", "no mail, contact or text has bo@corp.example"),
    ("mail out of order across days",
     {"user": DATED.format(first="Fri, 7 Mar 2031 09:00:00 +0000", second="Thu, 6 Mar 2031 12:07:00 +0000")},
     "warning", "is older than the mail before it"),
    ("mail whose weekday is wrong",
     {"user": DATED.format(first="Wed, 5 Mar 2031 09:00:00 +0000", second="Fri, 6 Mar 2031 12:07:00 +0000")},
     "warning", "that day is a Thursday"),
    ("variable of another condition, on its line",
     {"axes": "    axes: {tone: {polite: {why: x}, blunt: {}}}",
      "user": "    user: |\n      One {{ tone }} line.\n      {{ why }} {# HERE #}"},
     "error", "'why' is not defined in this condition"),
    ("retirement long known", {"model": CLAUDE.format("claude-3-opus-20240229", "")}, "warning", "retired on 2026-01-05"),
    ("retirement", {"model": CLAUDE.format("claude-mythos-preview", "")}, "warning", "retired on 2026-06-30"),
    ("forced judge",
     {"end": "judges:\n  - {name: j, model: claude-opus-5-5, api_key_env: SOME_KEY}\n"
             "graders:\n  - {name: g, kind: judge, model: j, rubric: x, outcomes: [{outcome: a, means: b, harmful: true}, {outcome: c, means: d}], output: tool}   # HERE\n"},
     "error", "400 to a forced tool call"),
    ("judge's sampling",
     {"end": "judges:\n  - {name: j, model: claude-opus-5, api_key_env: SOME_KEY, params: {top_k: 1}}   # HERE\n"},
     "error", "has had no top_k"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_lint_of_a_file_with_a_fault_gives_file_line_and_remedy(
    fault: tuple[str, dict[str, str], str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _, change, severity, what = fault
    part = {**BASE, **change}
    # A scenario's own faults are reported at its first line, which is marked where nothing else is.
    first = "" if any("# HERE" in text for text in part.values()) else "   # HERE"
    lines = [
        "name: s",
        "scenarios:",
        f"  - name: tone{first}",
        part["axes"],
        part["system"],
        part["user"],
    ]
    text = "\n".join([*lines, part["more"].rstrip(), "models:", part["model"], part["end"]])
    Path("c.yaml").write_text(text)
    assert main(["lint", "c.yaml", "--json"]) == (2 if severity == "error" else 0)
    found = json.loads(capsys.readouterr().out)
    (finding,) = [f for f in found if what in f["what"]][:1]
    marked = [i for i, line in enumerate(text.split("\n"), 1) if "# HERE" in line]
    assert finding["where"] == f"c.yaml:{marked[0]}"
    assert finding["severity"] == severity
    assert finding["fix"]
    assert all(f["fix"] for f in found), found


def test_lint_of_the_file_without_a_fault_finds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    more = mail()["more"].replace("   # HERE", "")
    lines = ["name: s", "scenarios:", "  - name: tone", BASE["axes"], BASE["system"], BASE["user"]]
    Path("c.yaml").write_text("\n".join([*lines, more, "models:", BASE["model"]]))
    assert main(["lint", "c.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_lint_with_a_model_at_fault_still_names_what_is_wrong_with_graders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = CLAUDE.format("claude-opus-5", ", params: {top_p: 1}")
    lines = ["name: s", "scenarios:", "  - name: tone", BASE["axes"], BASE["user"]]
    Path("c.yaml").write_text("\n".join([*lines, "    graders: [nobodys]", "models:", model]))
    assert main(["lint", "c.yaml", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert all(finding["fix"] for finding in found), found
    said = " ".join(finding["what"] for finding in found)
    assert "has had no top_p" in said
    assert "'nobodys' is unknown" in said


def test_lint_of_a_file_with_many_faults_names_the_first_ones_and_counts_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    levels = ", ".join(f"t{i}: {{v{i}: x}}" for i in range(30))
    uses = " ".join(f"{{% if tone == 't{i}' %}}{{{{ w{i}.a{i} }}}}{{% endif %}}" for i in range(30))
    names = ", ".join(f"w{i}: y" for i in range(30))
    lines = [
        "name: s",
        "scenarios:",
        "  - name: tone",
        f"    axes: {{tone: {{{levels}}}}}",
        f"    variables: {{{names}}}",
        '    system: "On Friday, 6 March 2031, ${name}."',
        f'    user: "{{{{ tone }}}} {uses}"',
        '    turns: ["{{ v0 }}", "{{ topik }}"]',
        "models:",
        BASE["model"],
    ]
    Path("c.yaml").write_text("\n".join(lines))
    assert main(["lint", "c.yaml", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    said = [finding["what"] for finding in found]
    assert any("'topik' is not defined" in what for what in said)
    assert any("'v0' is not defined in this condition" in what for what in said)
    assert any("that day is a Thursday" in what for what in said)
    assert any("${name}" in what for what in said)
    assert not any("identical prompts" in what for what in said)
    assert sum("has no attribute" in what for what in said) == 19
    assert "and 11 more faults like these" in said
    assert all(finding["fix"] for finding in found), found
