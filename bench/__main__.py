"""Every bench, briefly, as one Markdown table: ``python -m bench [--list] [NAME ...]``.

Each is also a program of its own with more to say and to set: ``python -m bench.NAME --help``.
"""

from __future__ import annotations

import argparse
import sys
import time

from app.wiring.logs import configure_logs
from bench.figures import machine
from bench.suite import SUITE


def main() -> None:
    """Run those named, or all; figures on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITE)}; default: all")
    parser.add_argument("--list", action="store_true", help="say what there is and run nothing")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(SUITE))
    if unknown:
        parser.error(f"no bench {unknown[0]!r}; there are {', '.join(SUITE)}")
    if options.list:
        for name, bench in SUITE.items():
            print(f"{name:10} {(bench.__doc__ or '').splitlines()[0]}")
        return
    configure_logs()  # to stderr
    command = " ".join(["python -m bench", *options.names])
    print(f"`{command}` on {machine()}\n")
    print("| bench | what | figure | required |\n|---|---|---|---|", flush=True)
    for name in options.names or SUITE:
        began_s = time.monotonic()
        for figure in SUITE[name]():
            print(figure.row(name), flush=True)
        print(f"{name}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
