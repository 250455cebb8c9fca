"""What commands read of a sweep in a bucket: what lies there now, not what a copy remembers."""

import asyncio
import os
import time

import pytest

from runner.cli.main import main
from runner.record.object_store import ObjectStore
from runner.record.place import Place
from runner.record.verify import verify
from tests.support.finished_sweep import Ends, Writer, config

pytestmark = pytest.mark.s3
ENTRY = "manifest/00000001.json"


def put(url, key, data):
    asyncio.run(ObjectStore(url).put(key, data))


def put_later(url, key, data):
    """Put it so that the store's clock, which may count seconds, shows another time."""

    def shown():
        (found,) = asyncio.run(ObjectStore(url).objects(key.rpartition("/")[0] + "/"))
        return found.changed_ms

    before = shown()
    while shown() == before:
        time.sleep(0.2)
        put(url, key, data)


@pytest.fixture
def sweep(s3_url, tmp_path):
    writer = Writer(tmp_path / "local", config(seeds=4))
    writer.publish({(cell.number, 1): Ends() for cell in writer.book.plan.cells})
    for path in (p for p in writer.root.rglob("*") if p.is_file()):
        put(s3_url, path.relative_to(writer.root).as_posix(), path.read_bytes())
    return s3_url


def test_object_of_a_later_sweep_with_the_name_and_size_of_an_earlier_one_is_read(s3_url):
    put(s3_url, "sweep.yaml", b"name: x\n")
    put(s3_url, ENTRY, b"the first")
    place = Place(s3_url)
    place.refresh_now()
    assert (place / ENTRY).read_bytes() == b"the first"
    put_later(s3_url, ENTRY, b"the later")
    place.refresh_now()
    assert (place / ENTRY).read_bytes() == b"the later"


def test_what_has_not_changed_is_not_fetched_again(sweep):
    place = Place(sweep)
    place.refresh_now()
    before = (place / ENTRY).stat().st_ino
    place.refresh_now()
    assert (place / ENTRY).stat().st_ino == before


def test_verify_reads_the_bucket_whatever_the_copy_holds(sweep):
    assert verify(sweep).ok
    (shard,) = (Place(sweep) / "transcripts").glob("*.parquet")
    stat, data = shard.stat(), bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert verify(sweep).ok
    put(sweep, f"transcripts/{shard.name}", bytes(data))
    assert not verify(sweep).ok


def test_slash_at_the_end_of_a_url_changes_nothing(sweep, capsys):
    assert main(["status", sweep]) == 0
    said = capsys.readouterr().out
    assert main(["status", f"{sweep}/"]) == 0
    assert capsys.readouterr().out == said


def test_verify_of_nothing_names_the_url(s3_url, capsys):
    assert main(["verify", s3_url]) == 3
    assert capsys.readouterr().err.startswith(f"{s3_url}: no sweep")


def test_reading_where_no_bucket_is_says_so(s3_server, capsys):
    assert main(["status", "s3://never-made/x"]) == 6
    assert "no such bucket" in capsys.readouterr().err
