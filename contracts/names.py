"""Identifiers, MQTT topics and partitions: the names that cross process boundaries."""

from __future__ import annotations

import enum
import functools
import re
import zlib
from typing import Annotated

import msgspec

from contracts.errors import Rejected, RejectReason

MAX_ID = 40
ID_PATTERN = rf"^[a-z0-9][a-z0-9_-]{{0,{MAX_ID - 1}}}$"
_ID = re.compile(ID_PATTERN[1:-1], re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID, extra_json_schema={"pattern": ID_PATTERN})]
"""An id that may become a topic, a key or a file name. The pattern is checked at the boundary by :func:`check_id`."""


def is_id(text: str) -> bool:
    """Return whether ``text`` is a well-formed id."""
    return len(text) <= MAX_ID and _is_id(text)


@functools.lru_cache(maxsize=16_384)
def _is_id(text: str) -> bool:
    """Look at a text once: the same ones come with every message."""
    return _ID.fullmatch(text) is not None


def check_id(text: str, what: str) -> str:
    """Return ``text`` itself when it is a well-formed id.

    Raises:
        Rejected: with reason ``bad_id``, naming ``what`` and the value (cut to 60 characters).
    """
    if not is_id(text):
        raise Rejected(RejectReason.BAD_ID, f"{what} {text[:60]!r} does not match {ID_PATTERN}")
    return text


class DeviceClass(enum.StrEnum):
    """The third topic level: what kind of device speaks."""

    GATE = "gate"
    CAM = "cam"
    METER = "meter"
    SENSOR = "sensor"
    TAG = "tag"
    LIFT = "lift"
    EDGE = "edge"


class Channel(enum.StrEnum):
    """The last topic level: what is said and with which promise."""

    EVT = "evt"  # QoS 1, sequence-numbered
    TELE = "tele"  # QoS 0
    STATE = "state"  # retained, with last will
    CMD = "cmd"  # signed, expiring
    ACK = "ack"
    CFG = "cfg"  # retained, signed, versioned
    META = "meta"
    GOT = "got"  # the spool acknowledgement to a box


def is_sha256(text: str) -> bool:
    """Return whether ``text`` is a SHA-256 as evidence is named by: 64 lower-case hex digits.

    >>> is_sha256("0a" * 32), is_sha256("0A" * 32), is_sha256("*" * 64)
    (True, False, False)
    """
    return _SHA256.fullmatch(text) is not None


ROOT = "linli/v1"
PROBE_ROOT = "linli/probe"
_TOPIC_LEVELS = 6


class Topic(msgspec.Struct, frozen=True):
    """``linli/v1/{site}/{class}/{device}/{channel}``, taken apart."""

    site_id: str
    device_class: DeviceClass
    device_id: str
    channel: Channel

    def __str__(self) -> str:
        return f"{ROOT}/{self.site_id}/{self.device_class}/{self.device_id}/{self.channel}"


def parse_topic(text: str) -> Topic:
    """Return the parts of one of Linli's own topics.

    >>> parse_topic("linli/v1/s1/gate/g1/evt").device_id
    'g1'

    Raises:
        Rejected: ``unknown_topic`` when it is not one of ours, ``bad_id`` when an id in it is malformed.
    """
    levels = text.split("/")
    if len(levels) != _TOPIC_LEVELS or levels[0] != "linli" or levels[1] != "v1":
        raise Rejected(RejectReason.UNKNOWN_TOPIC, f"{text[:120]!r} is not {ROOT}/site/class/device/channel")
    try:
        device_class, channel = DeviceClass(levels[3]), Channel(levels[5])
    except ValueError as error:
        raise Rejected(RejectReason.UNKNOWN_TOPIC, f"{text[:120]!r}: {error}") from None
    return Topic(check_id(levels[2], "site"), device_class, check_id(levels[4], "device"), channel)


def partition_of(site_id: str, partitions: int) -> int:
    """Return the partition a site's events live in: ``crc32(site_id) mod partitions``, stable across runs and machines.

    >>> partition_of("s1", 1)
    0
    """
    return zlib.crc32(site_id.encode()) % partitions
