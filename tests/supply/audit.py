"""``make audit``: is something known to be wrong with a package of the locks? OSV (osv.dev) is asked, which is public.

Only names and versions of packages are sent. ``LINLI_OSV_URL`` names another server that speaks OSV's API.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import click

from tests.supply.locks import ROOT, LockError, Package, read_locks

OSV_URL = "https://api.osv.dev"
AT_ONCE = 500  # OSV takes 1,000
TIMEOUT_S = 30.0
CLEAN, KNOWN_FAULTS, NOT_ASKED = 0, 1, 2
"""Exit codes."""


class SourceError(Exception):
    """The source of known faults did not answer; says why."""


def known_faults(packages: Sequence[Package], url: str) -> dict[str, list[str]]:
    """Return package URL → the ids of what is known to be wrong with it; packages without are left out.

    Raises:
        SourceError: the source does not answer, or not as OSV does.
    """
    found = {}
    for start in range(0, len(packages), AT_ONCE):
        some = packages[start : start + AT_ONCE]
        for package, ids in zip(some, _asked(some, url), strict=True):
            if ids:
                found[package.purl] = ids
    return found


def _asked(packages: Sequence[Package], url: str) -> list[list[str]]:
    queries = [{"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version} for one in packages]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(f"{url}/v1/querybatch", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            results = json.loads(response.read())["results"]
        found = [sorted(str(fault["id"]) for fault in result.get("vulns") or ()) for result in results]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{type(error).__name__}: {error}") from None
    if len(found) != len(packages):
        raise SourceError(f"{len(found)} answers to {len(packages)} questions")
    return found


def main(root: Path = ROOT) -> int:
    """Ask about every package of the locks; the exit code: 0 nothing known, 1 faults known, 2 nobody could be asked."""
    url = os.environ.get("LINLI_OSV_URL", OSV_URL).rstrip("/")
    try:
        packages = read_locks(root / "deploy" / "requirements.lock", root)
        found = known_faults(packages, url)
    except LockError as error:
        click.echo(f"nothing was audited: {error}", err=True)
        return NOT_ASKED
    except SourceError as error:
        click.echo(f"nothing was audited: {url} could not be asked for known faults ({error})", err=True)
        return NOT_ASKED
    for purl, ids in found.items():
        click.echo(f"{purl}: {', '.join(ids)}")
    click.echo(f"{len(packages)} packages, {len(found)} with known faults, as {url} says")
    return KNOWN_FAULTS if found else CLEAN


if __name__ == "__main__":
    sys.exit(main())
