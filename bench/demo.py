"""What a stranger sees of ``linli demo``: set-up, first incident, every rule, latency, the end.

    python -m bench.demo --seconds 90

Required: set-up ≤ 45 s, the first incident ≤ 30 s after it, every rule within 90 s, p99 over due ≤ 1.5 s, the end
≤ 20 s after the last message, nothing lost, nothing twice.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from app.wiring.children import linli_arguments
from app.wiring.run_child import environment
from bench.figures import Figure, show
from detectors.registry import all_rules
from incidents.store.schema import findings
from incidents.store.store import Store
from system.clock import wall_ms

SET_UP = "set up in"


class DemoRun(msgspec.Struct, frozen=True):
    """One demo: seconds of its parts, and what it said at its end."""

    seconds: float
    set_up_s: float
    first_s: float | None
    end_s: float
    report: dict[str, Any]


def measure(seconds: float, seed: int) -> DemoRun:
    """Return one run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="linli-bench-demo-") as folder:
        data = Path(folder) / "data"
        options = ("--headless", "--json", "--seconds", f"{seconds:g}", "--seed", str(seed), "--data", str(data))
        began_s = time.monotonic()
        process = subprocess.Popen(
            linli_arguments("demo", *options),
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            set_up_s, set_up_ms = _wait_for_set_up(process, began_s)
            out, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
        end_s = time.monotonic() - began_s - set_up_s - seconds
        return DemoRun(seconds, set_up_s, _first_s(data, set_up_ms), end_s, json.loads(out))


def _wait_for_set_up(process: subprocess.Popen[str], began_s: float) -> tuple[float, int]:
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        if line.startswith(SET_UP):
            return time.monotonic() - began_s, wall_ms()
    raise SystemExit("the demo ended before it was set up")


def _first_s(data: Path, set_up_ms: int) -> float | None:
    """Return seconds from set-up to the first finding on the feed that fell due after it."""
    store = Store(f"sqlite:///{data / 'incidents.db'}")
    with store.read() as connection:
        query = select(func.min(findings.c.taken_ms)).where(findings.c.due_ms >= set_up_ms)
        first_ms = connection.execute(query).scalar()
    store.close()
    return None if first_ms is None else (first_ms - set_up_ms) / 1_000


def figures(run: DemoRun) -> list[Figure]:
    """Return the run against what is required of it."""
    report = run.report
    silent = sorted({rule.name for rule in all_rules()} - set(report["findings"]))
    latency = report["latency_ms"]
    return [
        Figure("set-up", f"{run.set_up_s:.1f} s", "≤ 45 s", met=run.set_up_s <= 45),
        Figure("first incident after set-up", f"{run.first_s} s", "≤ 30 s", met=(run.first_s or 99) <= 30),
        Figure(
            f"rules that fired in {run.seconds:g} s",
            f"{len(all_rules()) - len(silent)} of {len(all_rules())}" + (f", not {', '.join(silent)}" * bool(silent)),
            "all in 90 s",
            met=None if silent and run.seconds < 90 else not silent,
        ),
        Figure(
            "over due, p50 and p99",
            f"{latency['p50']} and {latency['p99']} ms",
            "p99 ≤ 1,500 ms",
            met=latency["p99"] <= 1_500,
        ),
        Figure("from the last message to the end", f"{run.end_s:.1f} s", "≤ 20 s", met=run.end_s <= 20),
        Figure(
            "lost, twice",
            f"{report['lost']}, {report['duplicates']}",
            "0, 0",
            met=report["lost"] == 0 and report["duplicates"] == 0,
        ),
    ]


def main() -> None:
    """Run from the command line; figures on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    run = measure(options.seconds, options.seed)
    show(f"python -m bench.demo --seconds {options.seconds:g} --seed {options.seed}", figures(run))


if __name__ == "__main__":
    main()
