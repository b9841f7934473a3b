"""The published documents are those of the types."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from app.operations.schemas import FOLDER, pages
from contracts.events import EVENT_TYPES, AccessAttempted, Credential


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_committed_document_is_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `make schemas` and commit docs/contracts"


def _events_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / "events.schema.json").read_text(encoding="utf-8"))
    return schema


def _access(**changes: object) -> dict[str, Any]:
    event = AccessAttempted(
        event_id="e1", site_id="s1", source_id="g1", place_id="door1", at_ms=1, credential=Credential.CARD, granted=True
    )
    return {**msgspec.to_builtins(event), **changes}


def test_a_real_event_satisfies_the_published_schema() -> None:
    jsonschema.validate(_access(), _events_schema())


@pytest.mark.parametrize(
    "change", [{"at_ms": -1}, {"site_id": "Not an id"}, {"credential": "voice"}, {"granted": "yes"}]
)
def test_the_published_schema_refuses_what_the_decoder_refuses(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_access(**change), _events_schema())


def test_every_kind_is_published() -> None:
    assert set(EVENT_TYPES) <= {
        definition["properties"]["kind"]["const"]
        if "const" in definition["properties"]["kind"]
        else definition["properties"]["kind"]["enum"][0]
        for definition in _events_schema()["$defs"].values()
        if "kind" in definition.get("properties", {}) and "event_id" in definition["properties"]
    }
