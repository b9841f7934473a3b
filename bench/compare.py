"""The engine of another work tree beside this one's: processor time an event, and their ratio.

Run: ``python -m bench.compare OTHER [--events N] [--batch N] [--runs N]``; ``OTHER`` is a work tree of this project
with its own ``.venv``. Two processes take turns of some tens of milliseconds over the same simulated events: a machine
whose speed changes from second to second changes it for both. Alternating whole runs moves the ratio by a third there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

CHUNK_EVENTS = 640
# Runs in either tree: only names that both benchmarks have. A line read is one chunk, answered by its nanoseconds.
WORKER = """
import sys, time
sys.path.insert(0, ".")
from bench import engine as bench
events, batch, chunk = map(int, sys.argv[1:])
records = [bench.encode_batch(one) for one in bench.cut(bench.lived(events, 1), batch)]
print(len(records), flush=True)
while True:
    engine = bench.new_engine(bench.all_rules())
    for start in range(0, len(records), chunk):
        if not sys.stdin.readline():
            sys.exit()
        began_ns = time.process_time_ns()
        for position in range(start, min(start + chunk, len(records))):
            engine.feed(bench.decode_batch(records[position]), position)
        print(time.process_time_ns() - began_ns, flush=True)
"""


class Tree:
    """A process of one work tree that judges a chunk of the log when it is told to."""

    def __init__(self, folder: Path, events: int, batch: int) -> None:
        chunk = max(CHUNK_EVENTS // batch, 1)
        self._process = subprocess.Popen(
            [str(folder / ".venv/bin/python"), "-c", WORKER, str(events), str(batch), str(chunk)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.chunks = -(-self._answer() // chunk)

    def spent_ns(self) -> int:
        """Judge the next chunk; its processor time in nanoseconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a work tree's process ended; its error stands above")
        return int(line)


def one_run(this: Tree, other: Tree) -> tuple[int, int]:
    """Judge all chunks once in both trees, taking turns at going first; nanoseconds of each."""
    spent = [0, 0]
    for number in range(this.chunks):
        for place in (0, 1) if number % 2 else (1, 0):
            spent[place] += (this, other)[place].spent_ns()
    return spent[0], spent[1]


def main() -> None:
    """Print processor time an event of both trees, each run's ratio and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a work tree of this project with its own .venv")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # both on one core: they never run at once
    trees = [Tree(folder, options.events, options.batch) for folder in (Path.cwd(), options.other)]
    ratios = []
    for number in range(options.runs):
        this, other = one_run(trees[0], trees[1])
        ratios.append(this / other)
        each = [nanoseconds / 1000 / options.events for nanoseconds in (this, other)]
        print(f"run {number + 1}: {each[0]:6.2f} µs an event here, {each[1]:6.2f} there, ratio {ratios[-1]:.3f}")
        sys.stdout.flush()
    print(f"{options.batch} a batch, median ratio {median(ratios):.3f}")
    for tree in trees:
        tree.end()


if __name__ == "__main__":
    main()
