"""The POSIX store on a real file system: errors with a way out, no names for torn content."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.core.errors import StorageError
from runner.core.process import LinuxProcesses
from runner.record.posix_store import PosixStore


def test_move_onto_other_content_is_refused_and_changes_nothing(tmp_path):
    async def main():
        store = PosixStore(tmp_path)
        await store.put("parts/x", b"new")
        await store.put("transcripts/x", b"old")
        with pytest.raises(StorageError, match="transcripts/x"):
            await store.move("parts/x", "transcripts/x")
        assert await store.get("parts/x") == b"new"
        assert await store.get("transcripts/x") == b"old"

    asyncio.run(main())


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", ".tmp/x", "a\0b"]
)
def test_key_that_is_no_plain_relative_path_is_refused(tmp_path, key):
    async def main():
        store = PosixStore(tmp_path / "sweep")
        for call in (store.put(key, b""), store.create(key, b""), store.get(key)):
            with pytest.raises(ValueError, match="no key"):
                await call

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_write_where_a_file_is_in_the_way_names_the_path(tmp_path):
    (tmp_path / "sweep").write_text("a file, not a folder")

    async def main():
        store = PosixStore(tmp_path / "sweep")
        for call in (store.put("parts/x", b""), store.create("parts/x", b"")):
            with pytest.raises(StorageError, match="sweep"):
                await call

    asyncio.run(main())


def test_list_and_first_write_ignore_and_keep_the_temporary_files_of_the_living(tmp_path):
    async def main():
        await PosixStore(tmp_path).put("a", b"")
        (tmp_path / ".tmp" / "foreign").write_text("not ours")
        await PosixStore(tmp_path).put("b", b"")
        assert await PosixStore(tmp_path).list("") == ["a", "b"]
        assert [p.name for p in (tmp_path / ".tmp").iterdir()] == ["foreign"]

    asyncio.run(main())


_KILLED_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from runner.record.posix_store import PosixStore
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(PosixStore(Path(sys.argv[1])).create("manifest/00000001.json", b"half"))
"""


def test_writer_killed_before_its_sync_leaves_no_name_and_its_file_is_cleared(tmp_path):
    (tmp_path / "manifest").mkdir()
    (tmp_path / ".tmp").mkdir()
    killed = subprocess.run([sys.executable, "-c", _KILLED_WRITER, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / ".tmp").iterdir())) == 1

    async def main():
        store = PosixStore(tmp_path)
        assert await store.list("") == []
        await store.create("manifest/00000001.json", b"whole")
        assert await store.get("manifest/00000001.json") == b"whole"

    asyncio.run(main())
    assert list((tmp_path / ".tmp").iterdir()) == []


_FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from runner.core.errors import StorageError
from runner.record.disk import PosixDisk
from runner.record.posix_store import PosixStore
from runner.core.clock import SystemClock
from runner.record.journal import Journal
from tests.support.journals import HEADER, answered

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])

async def main():
    store, journal = PosixStore(root), Journal(PosixDisk(root / "journal"), SystemClock(), HEADER)
    await journal.open()
    await journal.append(answered(1, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    for call in (store.put("parts/x", bytes(9000)), journal.append(answered(1, 1, body=bytes(9000)))):
        try:
            await call
        except StorageError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.put("parts/x", bytes(9000))
    await journal.append(answered(1, 1, body=bytes(9000)))
    await journal.close()

asyncio.run(main())
"""


def test_file_system_that_refuses_large_files_fails_cleanly_and_goes_on_when_it_takes_them(
    tmp_path,
):
    """A limit on file sizes stands in for a full disk: the same short writes and errors."""
    from runner.record.disk import PosixDisk
    from runner.record.recovery import read_journal

    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    store_says, journal_says = done.stdout.splitlines()
    assert "parts/x" in store_says
    assert "journal w1" in journal_says
    assert (tmp_path / "parts/x").stat().st_size == 9000
    assert list((tmp_path / ".tmp").iterdir()) == []
    index = asyncio.run(read_journal(PosixDisk(tmp_path / "journal"), "w1"))
    assert sorted(job.seed for job in index.jobs) == [0, 1]
    assert index.reports == ()
    assert len(list((tmp_path / "journal").iterdir())) == 2


def test_processes_of_the_calling_process_are_alive(tmp_path):
    processes = LinuxProcesses()
    assert processes.is_dead(processes.current()) is False
