"""Reads the files that settings name for secrets. What is in them is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.settings.settings import Settings, keys
from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from contracts.written_text import decode_written
from system.next_secret import next_of


def read_secret(path: Path | None, key: str) -> Secret:
    """Return what a secret file holds, without the space around it.

    Raises:
        ConfigurationError: no file is named, or it cannot be read; never shows its content.
    """
    if path is None:
        raise ConfigurationError(f"{key} is empty: name a file that holds the secret")
    try:
        return Secret(decode_written(path.read_bytes(), f"{key} = {str(path)!r}").strip())
    except OSError as error:
        raise ConfigurationError(f"{key} = {str(path)!r} cannot be read: {type(error).__name__}") from None


def read_secret_if_named(path: Path | None, key: str) -> Secret:
    """Return what a secret file holds; the empty secret when none is named. Raises as :func:`read_secret`."""
    return read_secret(path, key) if path is not None else Secret("")


def read_pair(path: Path, key: str) -> tuple[str, Secret]:
    """Return the user and the password of a file with one line ``user:password``. Raises as :func:`read_secret`."""
    user, _, password = read_secret(path, key).reveal().partition(":")
    if not user or not password:
        raise ConfigurationError(f"{key} = {str(path)!r}: expected one line user:password")
    return user, Secret(password)


def read_in_turn(path: Path, key: str) -> list[Secret]:
    """Return the secret in force, and the one that follows it while they are exchanged.

    One of them is right at any moment. A next one that cannot be read is none. Raises as :func:`read_secret`.
    """
    present = read_secret(path, key)
    try:
        return [present, read_secret(next_of(path), key)]
    except ConfigurationError:
        return [present]


def files_named(settings: Settings) -> dict[str, Path]:
    """Return the file of each setting that names one with a secret, or with certificates.

    One that the program makes by itself is named once it is there.
    """
    named = {key: key.value(settings) for key in keys().values() if key.field.endswith("_file")}
    return {
        key.name: path for key, path in named.items() if path is not None and (path != key.default or path.exists())
    }


def receiver_files(settings: Settings) -> dict[str, Path]:
    """Return the files with a secret that ``[[receiver]]`` tables name."""
    found = {}
    for receiver in settings.receiver:
        for field, value in msgspec.structs.asdict(receiver.own).items():
            if field.endswith("_file") and isinstance(value, Path):
                found[f"receiver {receiver.name}: {field}"] = value
    return found
