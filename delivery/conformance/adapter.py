"""How a kind of receiver takes part in the conformance suite."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError
from delivery.backoff import AttemptOutcome
from delivery.conformance.request import Request
from delivery.deliveries import Delivery
from delivery.receiver import Receiver


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a receiver is to be pointed. ``url`` ends with the port; the kind adds its path."""

    url: str
    timeout_s: float
    ca_file: Path | None = None


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """What the suite must know of a kind.

    ``table``: the ``[[receiver]]`` table of a receiver that is pointed at a target. ``secrets``: content by file name.
    ``acceptance``: the body of a 200 by which a delivery is confirmed. ``empty_accepts``: whether an empty body
    confirms too. ``not_receipts``: bodies of a 200 that look like a receipt and are none. ``refusals``: bodies of a 200
    that refuse, for protocols that say errors so, with what an attempt comes to. ``key_of``: the idempotency key in a
    request. ``fresh``: headers that must differ between two attempts. ``objection``: why a strict other side would not
    take a request, or None. ``pinned``: a receiver whose time and nonces stand still, for golden messages.
    """

    table: Callable[[Target], dict[str, object]]
    secrets: Mapping[str, str]
    acceptance: Callable[[Delivery], bytes]
    empty_accepts: bool
    not_receipts: tuple[bytes, ...]
    refusals: Mapping[bytes, AttemptOutcome] = {}
    key_of: Callable[[Request], str]
    fresh: tuple[str, ...]
    objection: Callable[[Request], str | None]
    pinned: Callable[[Target], Receiver]


def adapter_of(kind: str) -> Adapter:
    """Return the adapter of a kind.

    Raises:
        ConfigurationError: there is none; says where it belongs.
    """
    name = f"delivery.receivers.{kind}.conformance"
    try:
        adapter = getattr(importlib.import_module(name), "ADAPTER", None)
    except ModuleNotFoundError as error:
        if error.name not in {name, name.rpartition(".")[0]}:
            raise
        adapter = None
    if not isinstance(adapter, Adapter):
        file = name.replace(".", "/") + ".py"
        raise ConfigurationError(f"receiver kind {kind!r} is missing in the conformance suite: {file} has no ADAPTER")
    return adapter
