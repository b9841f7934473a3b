"""The OpenAPI document of the API, made from the code; ``docs/contracts/openapi.json`` is its committed copy."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec

from console.api.app import build_app
from evidence.files import EvidenceFiles
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.users import Users
from incidents.alerts.actions import Actions
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.last_seen import MemoryHealth


def openapi_json() -> bytes:
    """Return the document, with sorted keys and a newline at the end: the same bytes for the same code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(f"sqlite:///{folder}/incidents.db", synchronous="OFF")
        app = build_app(
            store=store,
            actions=Actions(store),
            users=Users(store),
            directory=MemoryDirectory(),
            health=MemoryHealth(),
            uploads=Uploads(store, EvidenceFiles(folder / "evidence")),
            boxes=BoxTokens(folder / "boxes.jsonl"),
        )
        document = app.openapi()
        store.close()
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(openapi_json())
