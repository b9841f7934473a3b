"""From settings to receivers that can be told."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from delivery.receivers.kind import ReadSecret
from delivery.receivers.kinds import KINDS
from delivery.receivers.tables import ReceiverSettings


def open_receivers(
    settings: Sequence[ReceiverSettings], read_secret: ReadSecret
) -> list[tuple[ReceiverProfile, Receiver]]:
    """Return each receiver with what it may be told, in the order of the settings. Nothing is sent yet.

    Raises:
        ConfigurationError: a secret file cannot be read, or what is in it cannot be used.
    """
    return [(one.profile, KINDS[one.kind].open(one.name, one.own, read_secret)) for one in settings]
