"""What a topic that is none of ours was probably meant to be: ``linli/v1/S1/Sensor/Smoke-1/EVT``. Pure."""

from __future__ import annotations

import re

import msgspec

from contracts.errors import Rejected
from contracts.names import Topic, parse_topic

MAX_LENGTH = 400
"""Longer topics, in characters, are nobody's slip."""
_DEVICE_LEVEL = 4
_BETWEEN = re.compile(r"[\s:.]+")


class NearTopic(msgspec.Struct, frozen=True):
    """The topic that was probably meant, and what stood in place of its device."""

    topic: Topic
    said: str


def near_topic(text: str) -> NearTopic | None:
    """Return what ``text`` was meant to be, without case and slashes too many; None if none of ours.

    Its device may be any text.

    >>> near_topic("/linli/v1/S1/Sensor/AA:BB/EVT").topic.device_id
    'aa-bb'
    """
    levels = [level.strip() for level in text.split("/") if level.strip()] if len(text) <= MAX_LENGTH else []
    if len(levels) <= _DEVICE_LEVEL:
        return None
    said = levels[_DEVICE_LEVEL]
    levels[_DEVICE_LEVEL] = "device"
    try:
        topic = parse_topic("/".join(levels).casefold())
    except Rejected:
        return None
    return NearTopic(msgspec.structs.replace(topic, device_id=_BETWEEN.sub("-", said.casefold())), said)


def clean(text: str, length: int) -> str:
    """Return a stranger's text, cut, with a mark in place of what cannot be printed.

    >>> clean("a\\x1b[2J", 3)
    'a\ufffd['
    """
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:length])
