"""``python -m tests.chaos``: chaos for as long as wanted, on both scenarios in turn; prints a report of each.

    make chaos                                   an hour
    python -m tests.chaos --seconds 900 --seed 7 --scenario district

The seed decides the faults, when they come and what devices say; it is printed first. Exit code 1: something was lost,
wrong, or stood still for more than 30 s after the last fault. Logs of every process stay in the folder it names then.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from tests.chaos.report import Report
from tests.chaos.scenarios import Say, district_under_fire, workers_under_fire

RECOVERY_S = 30.0
ROUND_S = 1_800.0
"""A run is at most so long: what it wrote is read back and judged as a whole."""
SCENARIOS: dict[str, Callable[[int, float, Path, Say], Report]] = {
    "district": district_under_fire,
    "workers": workers_under_fire,
}


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--scenario", choices=[*SCENARIOS, "both"], default="both")
    parser.add_argument("--keep", action="store_true", help="keep the logs also when all was well")
    arguments = parser.parse_args()
    names = list(SCENARIOS) if arguments.scenario == "both" else [arguments.scenario]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"seed {arguments.seed}", flush=True)
    left_s, seed, failed = arguments.seconds, arguments.seed, False
    while left_s > 0:
        for name in names:
            failed |= not _round(name, seed, min(ROUND_S, left_s / len(names)), keep=arguments.keep)
        left_s -= len(names) * min(ROUND_S, left_s / len(names))
        seed += 1
    return int(failed)


def _round(name: str, seed: int, seconds: float, *, keep: bool) -> bool:
    """One run of a scenario; whether all was well."""
    folder = Path(tempfile.mkdtemp(prefix="linli-chaos-"))
    print(f"--- {name}, seed {seed}, {seconds:.0f} s", flush=True)
    report = SCENARIOS[name](seed, seconds, folder, lambda text: print(text, flush=True))
    print(report.text(), flush=True)
    wrong = report.wrong() + (["recovery"] if report.recovery_s > RECOVERY_S else [])
    if wrong:
        print(f"NOT AS IT MUST BE: {', '.join(wrong)}", flush=True)
    if wrong or keep:
        print(f"logs are in {folder}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
