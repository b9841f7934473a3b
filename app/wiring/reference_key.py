"""The installation's key of references that were erased, as a file for its owner alone."""

from __future__ import annotations

import re
import secrets

from app.settings.settings import Settings
from app.wiring.district import is_district
from contracts.erasure import UNKEYED, ReferenceKey
from contracts.errors import ConfigurationError
from system.private_files import make_folder, make_whole

KEY_BYTES = 32
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def reference_key(settings: Settings) -> ReferenceKey:
    """Return the key in ``erasure.key_file``. One machine makes it at random; in a district somebody gives it to each
    process, and without it nothing that was erased with it is recognised there.

    Raises:
        ConfigurationError: the file is no key, or cannot be read.
        OSError: it is not there and cannot be made.
    """
    path = settings.erasure.key_file
    if not path.exists():
        if is_district(settings):
            return UNKEYED
        make_folder(path.parent)
        make_whole(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise ConfigurationError(f"erasure.key_file = {str(path)!r}: {error.strerror or error}") from None
    if not _HEX.fullmatch(text):
        raise ConfigurationError(f"erasure.key_file = {str(path)!r} is no key of 64 hex digits; put the right one back")
    return ReferenceKey(bytes.fromhex(text))
