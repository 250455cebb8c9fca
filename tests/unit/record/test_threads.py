"""Reading a file held in memory must leave no thread of Arrow behind that still holds its bytes.

Such a thread kills a command that is just ending (`record.parts.table_of_bytes` says how). The
moment is too short to be met in a test; that no such thread is ever started can be seen.
"""

import subprocess
import sys
from pathlib import Path

from runner.record.parts import encode_parts
from runner.record.plan_file import encode_plan
from runner.scenarios.build import build_book
from tests.support.finished_sweep import config
from tests.support.records import answered, cell_facts

SCRIPT = """
import sys
from pathlib import Path
import pyarrow, pyarrow.parquet
from runner.record import parts, plan_file, verdicts

def threads():
    names = [(t / "comm").read_text().strip() for t in Path("/proc/self/task").iterdir()]
    return sorted(n for n in names if not n.startswith("jemalloc"))

READ = {
    "part": parts.read_parquet,
    "plan": lambda data: plan_file.decode_plan(data, "plan"),
    "answers": lambda data: list(verdicts.answer_rows(data, "shard")),
    "all of Arrow's": lambda data: pyarrow.parquet.read_table(pyarrow.BufferReader(data)),
}
before = threads()
READ[sys.argv[1]](Path(sys.argv[2]).read_bytes())
print(len(threads()) - len(before))
"""


def files(folder: Path) -> dict[str, Path]:
    book = build_book(config(), sweep_id="ab" * 8)
    (part,) = (
        p.data for p in encode_parts([answered(1, 5)], cell_facts) if p.kind == "transcripts"
    )
    data = {"part": part, "plan": encode_plan(book.plan, book.parts_json), "answers": part}
    for name, content in data.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in data} | {"all of Arrow's": folder / "part"}


def test_reading_bytes_in_memory_starts_no_thread(tmp_path):
    started = {
        name: int(subprocess.check_output([sys.executable, "-c", SCRIPT, name, str(path)]))
        for name, path in files(tmp_path).items()
    }
    assert started.pop("all of Arrow's") > 0, "the count does not see Arrow's threads"
    assert started == {"part": 0, "plan": 0, "answers": 0}
