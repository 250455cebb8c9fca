"""Run seeded schedules: `python -m tests.dst.run --seed 17 --trace`, or `--first 0 --count 2000`.

Strings hash alike in every process of this command (it starts itself again with a fixed hash seed),
so a seed replays exactly. Exit code 1 and the failing schedules, printed, if an invariant broke.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

COLLECT_EVERY = 60
"""Schedules between two collections of garbage: a dead world is one big cycle of about 4 MB, and
takes a tenth of the time of its schedule to be found. A chunk of CI ends before the first."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dst.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one schedule and print it")
    parser.add_argument("--seeds", type=int, nargs="+", help="run these schedules")
    parser.add_argument("--first", type=int, default=0, help="first seed of many")
    parser.add_argument("--count", type=int, default=200, help="how many schedules")
    parser.add_argument("--focus", action="store_true", help="seeds of tests/dst/focus.py")
    parser.add_argument("--trace", action="store_true", help="print every event (with --seed)")
    parser.add_argument("--keep-going", action="store_true", help="do not end at the first failure")
    parser.add_argument("--mutant", help="plant a fault of tests/dst/mutants.py; only schedules of "
                        "the kinds that can show it are run")  # fmt: skip
    options = parser.parse_args(arguments)
    from tests.dst.cluster import simulate_schedule
    from tests.dst.focus import focused_schedule_of
    from tests.dst.mutants import planted
    from tests.dst.schedule import schedule_of

    of_seed = focused_schedule_of if options.focus else schedule_of
    began, failed, seen = time.perf_counter(), 0, Counter[str]()
    gc.disable()
    gc.freeze()  # modules are no garbage
    with planted(options.mutant):
        for number, seed in enumerate(_seeds(options)):
            outcome = simulate_schedule(of_seed(seed), keep_trace=options.trace)
            seen.update(outcome.counts)
            if number % COLLECT_EVERY == COLLECT_EVERY - 1:
                gc.collect()
            if options.trace:
                print("\n".join(outcome.trace))
            if options.seed is not None:
                print(f"{outcome.schedule}\nfingerprint {outcome.fingerprint:08x}")
            if outcome.failure is not None:
                failed += 1
                print(f"FAILED {outcome.schedule}\n  {outcome.failure}")
                how = " --focus" if options.focus else ""
                how += f" --mutant {options.mutant}" if options.mutant else ""
                print(f"  replay: python -m tests.dst.run --seed {seed}{how} --trace", flush=True)
                if not options.keep_going:
                    break
    spent = time.perf_counter() - began
    done = seen["schedules"]
    print(f"{done} schedules, {failed} failed, {done / spent:.1f} schedules/s")
    print(", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    return 1 if failed else 0


def _seeds(options: argparse.Namespace) -> Iterator[int]:
    from tests.dst.mutants import MUTANTS
    from tests.dst.schedule import schedule_of

    if options.seed is not None:
        yield options.seed
    elif options.seeds:
        yield from options.seeds
    elif options.mutant is None:
        yield from range(options.first, options.first + options.count)
    else:
        mutant = MUTANTS[options.mutant]
        seeds = itertools.count(options.first)
        fitting = (s for s in seeds if schedule_of(s).profile in mutant.profiles)
        some = itertools.islice(fitting, options.count)
        # The same schedules in another order: whether one of them shows the fault stays as it is.
        yield from sorted(some, key=lambda seed: seed != mutant.try_first)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.dst.run", *sys.argv[1:]], environment
        )
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a thread of pyarrow that lets go of a Python object while the interpreter ends
    # aborts the process now and then ("terminate called without an active exception").
    os._exit(code)
