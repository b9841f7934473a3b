"""The golden messages of a kind: ``golden/NEWS.json``, a delivery's payload, and ``NEWS.http``, the request for it."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from contracts.errors import ConfigurationError
from contracts.incidents import DeliveryState
from delivery.deliveries import Delivery, DeliveryMessage

HOST = "receiver.example:8080"
"""Stands in golden requests for the address of the peer that recorded them."""


class Golden(msgspec.Struct, frozen=True):
    """One golden message."""

    name: str
    delivery: Delivery
    request: bytes


def golden_messages(kind: str) -> list[Golden]:
    """Return all of a kind, by name; an empty request where there is no ``NEWS.http`` yet.

    Raises:
        ConfigurationError: there is none; says where they belong.
    """
    folder = files(f"delivery.receivers.{kind}").joinpath("golden")
    there = folder.iterdir() if folder.is_dir() else ()
    names = sorted(file.name.removesuffix(".json") for file in there if file.name.endswith(".json"))
    if not names:
        raise ConfigurationError(f"receiver kind {kind!r}: delivery/receivers/{kind}/golden has no NEWS.json")
    requests = {name: folder.joinpath(f"{name}.http") for name in names}
    return [
        Golden(
            name,
            delivery_with(folder.joinpath(f"{name}.json").read_bytes()),
            request.read_bytes() if request.is_file() else b"",
        )
        for name, request in requests.items()
    ]


def delivery_with(payload: bytes) -> Delivery:
    """Return the delivery row with such a payload, never tried yet."""
    message = msgspec.json.decode(payload, type=DeliveryMessage)
    return Delivery(
        delivery_id=message.delivery_id,
        receiver="receiver",
        incident_id=message.incident.incident_id,
        site_id=message.incident.site_id,
        kind=message.kind,
        payload=payload,
        life_safety=message.incident.life_safety,
        state=DeliveryState.PENDING,
        reason="",
        attempts=0,
        created_ms=message.incident.last_ms,
        due_ms=message.incident.last_ms,
        settled_ms=None,
    )
