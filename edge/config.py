"""The configuration of a box: one TOML file, checked as a whole. Paths in it are relative to the file.

::

    [box]
    id = "box1"
    site = "s1"
    data = "box-data"

    [mqtt]
    url = "mqtt://127.0.0.1:1883"

    [console]
    url = "http://127.0.0.1:8080"
    token_file = "box1.token"

    [[camera]]
    id = "cam-gate"
    source = "rtsp://…"
    place_id = "gate-1"
    model = "models/yolox_nano_416.toml"
    analysers = ["passages"]
    [[camera.line]]
    place_id = "door-1"
    start = [0.1, 0.6]
    end = [0.9, 0.6]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from contracts.errors import ConfigurationError
from contracts.names import is_id
from edge.camera import CameraConfig, check_camera, convert, read_toml
from edge.capture.address import check_address, is_stream, redact_url
from edge.evidence.evidence_store import DEFAULT_QUOTA_MB, MAX_AGE_HOURS
from edge.inference.manifest import load_manifest, refuse_demo_model
from edge.inference.sight import refuse_blind_model
from edge.spool.spool import DEFAULT_MAX_ROWS
from edge.spool.spool import MAX_AGE_HOURS as SPOOL_AGE_HOURS
from edge.uplink.mqtt import BrokerConfig, broker_address
from edge.uplink.upload import ConsoleConfig, check_url


class BoxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[box]``: ``place_id`` is where it stands (default: its own id), ``health_s`` how often it reports."""

    id: str
    site: str
    data: str
    place_id: str = ""
    health_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 15.0


class SpoolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[spool]``: its quota, how old its rows may get, and the pace of the backlog."""

    retention_hours: Annotated[int, msgspec.Meta(ge=1, le=SPOOL_AGE_HOURS)] = SPOOL_AGE_HOURS
    max_rows: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = DEFAULT_MAX_ROWS
    backlog_rows_per_s: Annotated[float, msgspec.Meta(ge=1, le=10_000)] = 200.0


class EvidenceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[evidence]``: quota and age; no box keeps pictures longer than 72 hours."""

    quota_mb: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = DEFAULT_QUOTA_MB
    retention_hours: Annotated[int, msgspec.Meta(ge=1, le=MAX_AGE_HOURS)] = MAX_AGE_HOURS


class EdgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    box: BoxConfig
    camera: tuple[CameraConfig, ...]
    mqtt: BrokerConfig = BrokerConfig()
    console: ConsoleConfig = ConsoleConfig()
    spool: SpoolConfig = SpoolConfig()
    evidence: EvidenceConfig = EvidenceConfig()


def load_config(path: Path) -> EdgeConfig:
    """Return the configuration in ``path``, its paths made absolute.

    Raises:
        ConfigurationError: naming everything that is wrong, as far as it can be told.
    """
    config = convert(read_toml(path, "box configuration"), EdgeConfig, str(path))
    config = _resolved(config, path.resolve().parent)
    wrong = [*_check_box(config), *(w for camera in config.camera for w in _check_camera(camera))]
    if wrong:
        raise ConfigurationError(f"{path}: " + "; ".join(wrong))
    return config


def _resolved(config: EdgeConfig, folder: Path) -> EdgeConfig:
    def absolute(name: str) -> str:
        return str(folder / name) if name else ""

    replace = msgspec.structs.replace
    return replace(
        config,
        box=replace(config.box, data=absolute(config.box.data)),
        mqtt=replace(
            config.mqtt,
            password_file=absolute(config.mqtt.password_file),
            ca_file=absolute(config.mqtt.ca_file),
            cert_file=absolute(config.mqtt.cert_file),
            key_file=absolute(config.mqtt.key_file),
        ),
        console=replace(
            config.console, token_file=absolute(config.console.token_file), ca_file=absolute(config.console.ca_file)
        ),
        camera=tuple(
            replace(c, source=c.source if is_stream(c.source) else absolute(c.source), model=absolute(c.model))
            for c in config.camera
        ),
    )


def _check_box(config: EdgeConfig) -> list[str]:
    box = config.box
    named = {"id": box.id, "site": box.site, **({"place_id": box.place_id} if box.place_id else {})}
    wrong = [
        f"[box] {key} = {value!r}: expected small letters, digits, - and _, at most 40"
        for key, value in named.items()
        if not is_id(value)
    ]
    if not config.camera:
        wrong.append("no [[camera]]: a box needs at least one")
    ids = [camera.id for camera in config.camera]
    wrong += [f"camera id {name!r} is used twice" for name in sorted({n for n in ids if ids.count(n) > 1})]
    wrong += _sentence(lambda: broker_address(config.mqtt.url))
    if config.console.url:
        wrong += _sentence(lambda: check_url(config.console.url))
        if not config.console.token_file:
            wrong.append("[console] token_file is missing; make one with `linli edge token`")
    return wrong


def _check_camera(camera: CameraConfig) -> list[str]:
    where = f"camera {camera.id!r}"
    wrong = check_camera(camera, where)
    if not camera.source:
        wrong.append(f"{where}: source is missing; expected rtsp://… or a video file")
    elif is_stream(camera.source):
        wrong += [
            f"{where}: source {redact_url(camera.source)}: {fault}" for fault in [check_address(camera.source)] if fault
        ]
    elif not Path(camera.source).is_file():
        wrong.append(f"{where}: source {redact_url(camera.source)} does not exist; a stream begins with rtsp://")
    if camera.needs_detector and not camera.model:
        wrong.append(f"{where}: model is missing; {', '.join(camera.analysers)} need the manifest of a detector")
    elif camera.needs_detector:
        wrong += _sentence(lambda: refuse_demo_model(load_manifest(Path(camera.model)), camera))
        wrong += _sentence(lambda: refuse_blind_model(load_manifest(Path(camera.model)), camera))
    return list(dict.fromkeys(wrong))  # a manifest that cannot be read is said once


def _sentence(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except ConfigurationError as error:
        return [str(error)]
    return []
