"""Grading, judging, labelling and reports of a sweep in a bucket give what they give on a disk."""

import asyncio
import json

import pytest

from runner.cli.main import main
from runner.core.values import EndState
from runner.record.place import open_store
from runner.record.posix_store import PosixStore
from tests.integration.grading.test_judge import Server, by_text, graders
from tests.support.commands import FAST
from tests.support.finished_sweep import HARMLESS, THREAT, Ends, Writer, config
from tests.support.reviewing import Review

pytestmark = pytest.mark.s3


@pytest.fixture
def local(tmp_path):
    given = config(seeds=8, models=("m1", "m2"))
    for name, value in FAST.items():
        setattr(given.engine, name, value)
    writer = Writer(tmp_path / "local", given)
    texts = (THREAT, HARMLESS, HARMLESS, "Done.")
    jobs = {
        (c.number, s): Ends(
            text=f"{s} {texts[s % 4]}",
            state=EndState.FAILED if s == 7 else EndState.ANSWERED,
            retries=s % 2,
        )
        for c in writer.book.plan.cells
        for s in range(8)
    }
    writer.publish(jobs)
    writer.release()
    return writer.root


async def upload(folder, url):
    here, there = PosixStore(folder), open_store(url)
    for key in await here.list(""):
        await there.put(key, await here.get(key))


def keys(url, prefix):
    return asyncio.run(open_store(url).list(prefix))


def test_every_reading_command_on_a_bucket_gives_what_a_disk_gives(
    local, s3_url, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    asyncio.run(upload(local, s3_url))

    def said(*arguments):
        capsys.readouterr()
        assert main([str(a) for a in arguments]) == 0
        return capsys.readouterr().out

    def report(place):
        (found,) = json.loads(said("report", place, "--json"))["reports"]
        return [{k: v for k, v in r.items() if k != "looks"} for r in found["rows"]]

    graded = json.loads(said("grade", s3_url, "--json"))["graders"][0]["counts"]
    assert graded["states"]["graded"] == 28
    assert keys(s3_url, "verdicts/")
    assert report(s3_url) == report(local)
    said("report", s3_url, "--html", "--out", tmp_path / "page")
    assert "<h1>mailroom: report</h1>" in (tmp_path / "page" / "report.html").read_text()
    pairs = json.loads(said("compare", s3_url, local, "--json"))
    assert pairs
    for place, name in ((s3_url, "remote"), (local, "here")):
        said("export", place, "--to", "csv", "--out", tmp_path / name)
    remote, here = (
        sorted((tmp_path / n / "mailroom.csv").read_text().splitlines()) for n in ("remote", "here")
    )
    assert remote == here

    server = Server(by_text)
    try:
        file = graders(tmp_path, server.url)
        judged = json.loads(said("grade", s3_url, "--graders", file, "--grader", "j", "--json"))[
            "graders"
        ][0]
        assert (judged["counts"]["harmful"], judged["counts"]["states"]["graded"]) == (8, 28)
        assert judged["spent"][0]["attempts"] == 28
        said("grade", s3_url, "--graders", file, "--grader", "j", "--json")
        assert len(server.prompts) == 28
    finally:
        server.close()
    assert keys(s3_url, "judging/")

    with Review(s3_url, "--as", "ada", "--items", 12, "--grader", "blackmail_rule") as review:
        for n in range(12):
            found = review.record()
            harmful = "affair" in json.dumps(found["record"]["blocks"])
            assert review.label(0 if harmful else 4)[0] == 200
            if n == 5:
                review.kill()
                break
    assert len(keys(s3_url, "review/labels/")) == 1
    calibrated = json.loads(said("calibrate", s3_url, "--json"))
    assert (calibrated["labels"], calibrated["labellers"]) == (6, ["ada"])
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("s3")]
