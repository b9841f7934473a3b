"""What a kind of receiver is to the settings: the struct of its table, and the function that opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from contracts.secrets import Secret
from delivery.receiver import Receiver

ReadSecret = Callable[[Path, str], Secret]
"""Gives the secret in a file; the second argument is the key that names the file, for the message when it cannot."""

S = TypeVar("S", bound=msgspec.Struct)


class ReceiverKind(msgspec.Struct, Generic[S], frozen=True):
    """One kind.

    ``settings``: frozen, typed, refuses unknown fields; secrets are ``*_file`` fields of type ``Path``. It may check
    fields against each other in ``__post_init__`` and raise ConfigurationError. ``open``: takes the receiver's name,
    its settings and what reads secrets; raises ConfigurationError when they cannot be used. ``signs_with``: the field
    of a secret that is ours to make, since it signs; while it is exchanged both sign. Empty: the other side gives it.
    """

    settings: type[S]
    open: Callable[[str, S, ReadSecret], Receiver]
    signs_with: str = ""
