"""The committed OpenAPI document is the one the code makes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from console.api.openapi import openapi_json

COMMITTED = Path(__file__).parents[2] / "docs" / "contracts" / "openapi.json"


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_bytes() == openapi_json(), "run: python -m console.api.openapi > docs/contracts/openapi.json"


def test_it_names_the_final_paths() -> None:
    paths = msgspec.json.decode(COMMITTED.read_bytes())["paths"]
    assert {
        "/api/v1/session",
        "/api/v1/incidents",
        "/api/v1/incidents/{incident_id}",
        "/api/v1/incidents/{incident_id}/actions",
        "/api/v1/stream",
        "/api/v1/evidence/{sha256}",
        "/api/v1/devices",
        "/api/v1/health",
        "/edge/v1/evidence/{sha256}",
    } <= set(paths)
    assert set(paths["/api/v1/session"]) == {"get", "post", "delete"}
    assert set(paths["/edge/v1/evidence/{sha256}"]) == {"head", "put"}
