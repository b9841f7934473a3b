"""The box's token: a secret in a file of its own. The console keeps only its SHA-256 (``boxes.jsonl``)."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError
from contracts.names import is_id
from system.private_files import make_file, make_folder

REGISTER_FILE = "boxes.jsonl"


class BoxRegistration(msgspec.Struct, frozen=True):
    """One line of ``boxes.jsonl``; the last line of a site's box counts: another site may have one of the same id."""

    box_id: str
    site_id: str
    token_sha256: str


def make_token(box_id: str, site_id: str, out: Path) -> BoxRegistration:
    """Write a new token to ``out`` (readable by its owner alone) and give what the console must know.

    Raises:
        ConfigurationError: when an id is malformed or ``out`` exists or cannot be written.
    """
    for name, value in (("box", box_id), ("site", site_id)):
        if not is_id(value):
            raise ConfigurationError(f"{name} {value!r}: expected small letters, digits, - and _, at most 40")
    token = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{out} exists; a token is never overwritten: move it away first") from None
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # an empty file would stand in the way of the next try
        out.unlink(missing_ok=True)
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from None
    return BoxRegistration(box_id, site_id, hashlib.sha256(token.encode()).hexdigest())


def register(registration: BoxRegistration, folder: Path) -> Path:
    """Append a registration to ``boxes.jsonl`` in ``folder``, which the console reads. Returns the file."""
    make_folder(folder)
    path = folder / REGISTER_FILE
    make_file(path)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(registration) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return path
