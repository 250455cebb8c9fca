"""Each format of `runner import`, on small sets of its kind written for the test."""

import json
import sys
import textwrap
import zipfile

import pytest

from runner.config.yaml_tree import parse
from runner.core.errors import ConfigError
from runner.importer.draft import Fields
from runner.importer.spool import Spool
from runner.pipeline.importing import Wanted, import_set


@pytest.fixture
def put(tmp_path):
    """Write files below the folder `set`."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "set" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "set"

    return lambda files: write(**files)


@pytest.fixture
def imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(source, **keys):
        fields = Fields(**{k: keys.pop(k) for k in ("user", "system", "id") if k in keys})
        target = tmp_path / "out.yaml"
        wanted = Wanted(source=str(source), target=target, fields=fields, replace=True, **keys)
        return import_set(wanted)

    return read


def items(done):
    """The prompts as they were written, beside the configuration or in it."""
    if done.written.prompts:
        return [json.loads(line) for line in done.written.prompts.read_text().splitlines()]
    whole = parse(done.written.config.read_text(), "c").plain()
    found = whole["scenarios"][0]["prompts"]
    assert len(found) == done.prompts
    return [{"system": "", "user": "", **item} for item in found]


def prompts(done):
    return {p["id"]: (p["system"], p["user"]) for p in items(done)}


def faults(done):
    return [f"{f.where}: {f.what}" for f in done.collected.faults]


def test_texts_pair_system_and_user_by_folder_stem_and_nearest_system(put, imported):
    folder = put(
        {
            "a__system_prompt.txt": "S-a\n",
            "a__user_prompt.txt": "U-a\n",
            "a__notes.txt": "neither",
            "e__system.txt": "S-e, of nobody",
            "e__two.system.txt": "S-two, of nobody",
            "b__one.system.md": "S-one",
            "b__one.user.md": "U-one",
            "c__system.txt": "S-c",
            "c__d__x.txt": "U-x",
            "c__d__y.txt": "U-y",
            "c__d__z.bin": b"\0",
            "c__d__bad.txt": b"ok\n\xff",
            "c__d__blank.txt": "\n",
            ".git__user.txt": "hidden",
        }
    )
    done = imported(folder)
    assert done.form == "texts"
    assert prompts(done) == {
        "a": ("S-a", "U-a"),
        "b-one": ("S-one", "U-one"),
        "c-d-x": ("S-c", "U-x"),
        "c-d-y": ("S-c", "U-y"),
    }
    said = "\n".join(faults(done))
    assert "a/notes.txt: neither a system nor a user prompt" in said
    assert "c/d/bad.txt:2: is not UTF-8 text" in said
    assert "c/d/blank.txt:1: is empty" in said
    assert "c/d/z.bin: neither" in said
    assert "e/system.txt: stands beside no user's text" in said
    assert "e/two.system.txt: stands beside no user's text" in said
    assert said.count("stands beside") == 2


def test_texts_join_files_that_are_named_and_keep_numbered_turns(put, imported):
    folder = put({"a__system_prompt.txt": "S", "a__user_prompt.txt": "U", "a__email.txt": "E"})
    done = imported(folder, user=("user_prompt", "email"))
    assert prompts(done) == {"a": ("S", "U\n\nE")}
    turns = put({"t__1-user.txt": "one", "t__2-assistant.txt": "two", "t__3-user.txt": "three"})
    (prompt,) = items(imported(turns / "t"))
    assert prompt["user"] == "three"
    assert prompt["history"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]


def test_lines_of_many_kinds_are_read_and_what_is_none_is_named(put, imported):
    rows = [
        {"id": "q/1", "question": "Why?", "answer": "42", "topic": "life"},
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"},
                      {"role": "assistant", "content": "Hello."}]},
        [{"role": "user", "content": "bare"}],
        {"instruction": "Sum up", "input": "this", "output": "x"},
        {"question": "Why?", "id": "again"},
        {"colour": "red"},
        "a text",
    ]  # fmt: skip
    lines = [*map(json.dumps, rows), "{broken", ""]
    done = imported(put({"s.jsonl": "\n".join(lines)}) / "s.jsonl")
    assert [(p["id"], p["user"], p["target"]) for p in items(done)] == [
        ("q-1", "Why?", "42"),
        ("prompt-2", "Hi", "Hello."),
        ("prompt-3", "bare", ""),
        ("prompt-4", "Sum up\n\nthis", ""),
        ("prompt-5", "a text", ""),
    ]
    assert items(done)[0]["metadata"] == {"topic": "life"}
    assert items(done)[0]["source_id"] == "q/1"
    ((where, first),) = done.collected.twins
    assert (where.rpartition(":")[2], first.rpartition(":")[2]) == ("5", "1")
    said = faults(done)
    assert ":6: no field that says what the model is asked (there are: colour)" in said[0]
    assert ":8: no JSON" in said[1]
    assert any("kept as `target`" in note for note in done.collected.notes)


def test_lines_with_marks_of_other_systems_are_read_and_what_is_no_text_is_named(put, imported):
    lines = [
        b'\xef\xbb\xbf{"id": "a", "prompt": "one"}',
        b'{"id": "a", "prompt": "two\\r\\nlines"}',
        b'{"id": "A", "prompt": "a\\u0000b"}',
        b'{"prompt": "\xff"}',
        b'{"messages": [{"content": "no role"}]}',
        '{"prompt": "\ufdd0seed\ufdd1"}'.encode(),
        b'{"prompt": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"prompt": "' + b"word " * 1_000_000 + b'"}',
    ]
    done = imported(put({"s.jsonl": b"\r\n".join(lines)}) / "s.jsonl")
    users = {p["id"]: p["user"] for p in items(done)}
    assert list(users) == ["a", "a-2", "A", "prompt-4"]
    assert [users[i] for i in ("a", "a-2", "A")] == ["one", "two\r\nlines", "a\x00b"]
    assert len(users["prompt-4"]) == 5_000_000
    said = faults(done)
    assert [int(line.split(":")[1]) for line in said] == [4, 5, 6, 7]
    for line, what in zip(said, ("not UTF-8", "has no role", "U+FDD0", "no JSON"), strict=True):
        assert what in line


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"messages": None}, "messages is null: the model is asked nothing"),
        ({"messages": {}}, "messages is an object: the model is asked nothing"),
        ({"prompt": 3.5}, "prompt is a number: the model is asked nothing"),
        ({"prompt": True}, "prompt is true or false: the model is asked nothing"),
        (
            {"question": ["a"]},
            "question is a list that holds no messages: the model is asked nothing",
        ),
        ({"answer": "a"}, "no field that says what the model is asked (there are: answer)"),
    ],
)
def test_record_when_what_is_asked_is_no_text_says_what_it_is(put, imported, record, what):
    lines = "\n".join(map(json.dumps, [{"prompt": "Hi"}, record]))
    done = imported(put({"s.jsonl": lines}) / "s.jsonl")
    (said,) = faults(done)
    assert f"s.jsonl:2: {what}" in said


def test_set_that_is_kept_in_a_file_while_it_is_read_is_written_as_one_in_memory(
    put, imported, monkeypatch
):
    rows = [{"id": f"q{i}", "prompt": "word " * 50 + str(i % 9)} for i in range(60)]
    rows[3]["answer"] = 4
    source = put({"s.jsonl": "\n".join(map(json.dumps, rows))}) / "s.jsonl"
    in_memory = imported(source)
    kept = items(in_memory)
    monkeypatch.setattr("runner.pipeline.importing.Spool", lambda: Spool(in_memory=100))
    done = imported(source)
    assert items(done) == kept
    assert [item["target"] for item in kept] == [
        *("" for _ in range(3)),
        4,
        *("" for _ in range(5)),
    ]
    assert len(done.collected.twins) == 51
    assert not list(done.written.config.parent.glob(".*"))


def test_lines_when_a_prefill_is_wanted_keep_the_last_answer(put, imported):
    row = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I am"}]
    path = put({"s.jsonl": json.dumps(row)}) / "s.jsonl"
    (prompt,) = items(imported(path, prefill=True))
    assert prompt["user"] == ""
    assert prompt["history"] == row


def test_tables_read_named_fields(put, imported):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = put({"s.csv": 'n,ask,rule\n1,"Why,\nnow?",Be kind\n2,How?\n'})
    done = imported(folder / "s.csv", user=("ask",), system="rule", id="n")
    assert prompts(done) == {"1": ("Be kind", "Why,\nnow?")}
    assert "s.csv:4: has more or fewer cells" in faults(done)[0]
    chat = [{"role": "user", "content": "Hi"}]
    table = pa.table({"chat": [chat, chat], "n": [2**60, 1], "raw": [1.5, float("nan")]})
    pq.write_table(table, folder / "s.parquet")
    done = imported(folder / "s.parquet", id="n")
    assert prompts(done) == {str(2**60): ("", "Hi")}
    assert len(done.collected.twins) == 1
    (folder / "bad.parquet").write_bytes(b"no")
    with pytest.raises(ConfigError, match="no Parquet file"):
        imported(folder / "bad.parquet")


def test_markdown_seeds_keep_front_matter_and_role_headings(put, imported):
    folder = put(
        {
            "a.md": "---\n# a canary\ntags: [x, y]\n---\n\nAsk {{ this }}.\n",
            "b.md": "---\nid: bee\nsystem: Be kind.\n---\n# User\nOne\n\n# Assistant\nTwo\n# User\nThree\n",
            "open.md": "---\ntags: 1\n",
            "twice.md": "---\na: 1\na: 2\n---\ntext\n",
            "empty.md": "---\na: 1\n---\n\n",
        }
    )
    done = imported(folder)
    assert done.form == "markdown"
    assert prompts(done) == {"a": ("", "Ask {{ this }}."), "bee": ("Be kind.", "Three")}
    assert items(done)[0]["metadata"] == {"tags": ["x", "y"]}
    assert len(items(done)[1]["history"]) == 2
    said = "\n".join(faults(done))
    assert "open.md:1: the front matter has no end" in said
    assert "twice.md:3: front matter: the key a is written twice" in said
    assert "empty.md:1: no text after the front matter" in said


INSPECT_TASK = """
class Sample:
    def __init__(self, **keys):
        self.keys = keys

    def model_dump(self, **_):
        return self.keys

class Task:
    def __init__(self, dataset):
        self.dataset = dataset

def quiz(size=1):
    return Task([Sample(id=i, input=f"Which? {i}", choices=["a", "b"], target="A") for i in range(size)])

def broken():
    raise RuntimeError("no network")
"""


def test_inspect_datasets_come_from_code_files_and_logs(put, imported, tmp_path, monkeypatch):
    (tmp_path / "quizzes.py").write_text(textwrap.dedent(INSPECT_TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "quizzes", raising=False)
    done = imported("quizzes:quiz", arguments={"size": 2})
    assert done.form == "inspect"
    assert [p["choices"] for p in items(done)] == [["a", "b"], ["a", "b"]]
    for wrong, what in (("quizzes:quizz", "Did you mean quiz"), ("quizzes:broken", "no network"),
                        ("nosuchmodule:quiz", "Install the package")):  # fmt: skip
        with pytest.raises(ConfigError, match=what):
            imported(wrong)
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    folder = put(
        {"set.json": json.dumps({"samples": [{"id": 7, "input": chat, "sandbox": "docker"}]})}
    )
    done = imported(folder / "set.json", form="inspect")
    assert prompts(done) == {"7": ("S", "U")}
    assert any("sandbox is not provided" in note for note in done.collected.notes)
    with zipfile.ZipFile(folder / "x.eval", "w") as log:
        log.writestr("samples/1_epoch_1.json", json.dumps({"id": 1, "epoch": 1, "input": "U1"}))
        log.writestr("samples/1_epoch_2.json", json.dumps({"id": 1, "epoch": 2, "input": "U1"}))
    assert prompts(imported(folder / "x.eval")) == {"1": ("", "U1")}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("nowhere.jsonl", "nothing there"),
        ("set/odd.xyz", "--format jsonl"),
        ("set/no.jsonl", "no prompt"),
        ("set/empty.jsonl", "no prompt"),
        ("set/binary.json", "is not UTF-8"),
        ("set/deep.json", "no JSON"),
        ("set/none.parquet", "no Parquet"),
    ],
)
def test_import_when_there_is_nothing_to_read_says_what_to_do(put, imported, source, what):
    put({"odd.xyz": "x", "no.jsonl": '{"a": 1}\n', "empty.jsonl": "", "none.parquet": "PAR1"})
    put({"binary.json": bytes(range(256)), "deep.json": "[" * 100_000})
    with pytest.raises(ConfigError, match=what):
        imported(source)
