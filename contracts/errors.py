"""One exception tree for the whole product.

LinliError
├── Rejected        bad input: kept as a dead letter with a closed-enum reason, never retried
├── Transient       the other side may recover: try again, not before ``retry_after_s``
├── Permanent       trying again cannot help: needs a person
│   ├── ConfigurationError   what a person wrote is wrong (exit code 2)
│   └── LogBroken            the log or a snapshot contradicts itself (loud, never skipped silently)
"""

from __future__ import annotations

import enum


class RejectReason(enum.StrEnum):
    """Why an input was refused. Closed: metrics and dead letters are labelled with it."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    BAD_ID = "bad_id"
    WRONG_SITE = "wrong_site"
    WRONG_DEVICE = "wrong_device"
    WRONG_CHANNEL = "wrong_channel"
    NOT_CONFIGURED = "not_configured"
    TOO_OLD = "too_old"
    OVER_LIMIT = "over_limit"


class DropReason(enum.StrEnum):
    """Why a part of an accepted message was dropped. Closed: a metric is labelled with it."""

    NULL = "null"
    NOT_A_NUMBER = "not_a_number"  # NaN, infinity
    OUT_OF_RANGE = "out_of_range"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_WORD = "unknown_word"
    UNKNOWN_UNIT = "unknown_unit"
    TWICE = "twice"  # one key with two values
    UNREADABLE = "unreadable"  # no JSON
    ENCODING = "encoding"  # not UTF-8, or with a byte order mark
    TRAILING = "trailing"  # what stood behind the whole message
    TOO_MANY = "too_many"
    UNKNOWN_PLACE = "unknown_place"
    OTHER_PLACE = "other_place"  # the inventory says another one


class LinliError(Exception):
    """Base of every error Linli raises on purpose."""


class Rejected(LinliError):  # noqa: N818 - the product's word for a refused input
    """An input that is refused. ``detail`` carries the failing value and what was expected, never personal data."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Transient(LinliError):  # noqa: N818
    """A failure that may pass. ``retry_after_s`` is the other side's own wish, if it gave one."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(LinliError):  # noqa: N818
    """A failure that trying again cannot fix."""


class ConfigurationError(Permanent):
    """Something a person wrote is wrong. The message says which key, its value, and what was expected."""


class LogBroken(Permanent):
    """The log, a snapshot or a finding contradicts itself; going on would be silent loss."""
