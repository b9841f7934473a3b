"""``python -m tests.fuzz``: random runs of the real rules, each compared with the clean one; prints its seed first.

    make fuzz-rules                              3,000 runs
    python -m tests.fuzz --runs 300 --seed 7
    python -m tests.fuzz --only 7000123          one of them again

Exit code 1: in one run something was lost, wrong, too much, contradicted itself, or ended a process. The run is named.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.fuzz.runs import RunResult, plan_of, run

SEED_RUNS = 1_000_000
"""Runs of one seed have numbers of their own: seed · 1,000,000 + n."""


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", type=int, help="the number of one run")
    arguments = parser.parse_args()
    if arguments.only is not None:
        return int(not _well(run(plan_of(arguments.only))))
    print(f"seed {arguments.seed}", flush=True)
    started_s, findings, wrong = time.monotonic(), 0, 0
    for n in range(arguments.runs):
        result = run(plan_of(arguments.seed * SEED_RUNS + n))
        findings += result.findings
        wrong += not _well(result)
        if (n + 1) % 100 == 0:
            print(f"{n + 1} runs, {findings} findings, {wrong} wrong, {time.monotonic() - started_s:.0f} s", flush=True)
    return int(wrong > 0)


def _well(result: RunResult) -> bool:
    """Say what was wrong with a run; whether nothing was."""
    if result.wrong:
        print(f"NOT AS IT MUST BE: {result.plan}; again: python -m tests.fuzz --only {result.plan.seed}", flush=True)
        for line in result.wrong[:20]:
            print(f"    {line}", flush=True)
    return not result.wrong


if __name__ == "__main__":
    sys.exit(main())
