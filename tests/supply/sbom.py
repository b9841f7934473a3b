"""``make sbom``: a bill of materials as CycloneDX JSON, of the lock files alone. The same locks give the same bytes."""

from __future__ import annotations

import json
import sys
import tomllib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tests.supply.locks import ROOT, LockError, Package, read_locks

SPEC_VERSION = "1.6"
FILE = ROOT / "sbom.cdx.json"
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: names that are URLs


def bill_of_materials(packages: Sequence[Package], name: str, version: str) -> dict[str, Any]:
    """Return the bill of ``packages`` that make up ``name``."""
    product = {"type": "application", "bom-ref": name, "name": name, "version": version}
    components = [_component(package) for package in packages]
    by_name = {package.name: package for package in packages}
    wants: dict[str, list[str]] = {ref: [] for ref in (name, *(package.purl for package in packages))}
    for package in packages:
        for other in package.needed_by or (name,):
            wants.setdefault(by_name[other].purl if other in by_name else name, []).append(package.purl)
    identity = uuid.uuid5(_NAMESPACE, json.dumps([product, components], sort_keys=True))
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {"component": product},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(refs))} for ref, refs in sorted(wants.items())],
    }


def _component(package: Package) -> dict[str, Any]:
    said = {"type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version}
    files = [{"name": "linli:lock:sha256", "value": digest} for digest in package.hashes]
    return said | {"purl": package.purl} | ({"properties": files} if files else {})


def main(target: Path = FILE, root: Path = ROOT) -> int:
    """Write the bill; the exit code. What keeps it from being written is said in one sentence."""
    try:
        product = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        packages = read_locks(root / "deploy" / "requirements.lock", root)
        bill = bill_of_materials(packages, product["name"], product["version"])
        target.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    except (LockError, OSError, KeyError) as error:
        click.echo(f"no bill of materials was written: {error}", err=True)
        return 1
    click.echo(f"{target}: {len(packages)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
