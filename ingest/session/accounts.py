"""Accounts in a password file of mosquitto: a new password for one of them, the others as they are."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import stat
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from system.durable_files import replace_durably

ITERATIONS = 101  # mosquitto_passwd's own number


def mosquitto_hash(password: str, salt: bytes) -> str:
    """Return the password as ``mosquitto_passwd`` writes it: PBKDF2 with SHA-512."""
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def renew_password(accounts: Path, account: str) -> Secret:
    """Give ``account`` a new random password and return it. The broker takes it when it is told to reload.

    What waits at the broker for a client of this account that is away is lost then: only for who keeps it itself.

    Raises:
        ConfigurationError: the file cannot be read or written, or has no such account.
    """
    lines, before = _read(accounts)
    if account not in lines:
        raise ConfigurationError(
            f"{accounts} has no account {account!r}; `mosquitto_passwd {accounts} {account}` adds it"
        )
    password = secrets.token_hex(16)
    _write(accounts, lines | {account: mosquitto_hash(password, secrets.token_bytes(12))}, before)
    return Secret(password)


def has_account(accounts: Path, account: str) -> bool:
    """Return whether the file has ``account``. Raises as the one above."""
    return account in _read(accounts)[0]


def add_account(accounts: Path, account: str, password: Secret) -> None:
    """Add ``account`` with this password, or give it this one; the others stay. Raises as those above."""
    lines, before = _read(accounts)
    _write(accounts, lines | {account: mosquitto_hash(password.reveal(), secrets.token_bytes(12))}, before)


def remove_account(accounts: Path, account: str) -> bool:
    """Take ``account`` out; return whether it was there. Raises as those above."""
    lines, before = _read(accounts)
    _write(accounts, {name: proof for name, proof in lines.items() if name != account}, before)
    return account in lines


def _read(accounts: Path) -> tuple[dict[str, str], os.stat_result]:
    try:
        lines, before = accounts.read_text(encoding="utf-8").splitlines(), accounts.stat()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{accounts} cannot be read: {type(error).__name__}") from None
    return {line.partition(":")[0]: line.partition(":")[2] for line in lines if line.strip()}, before


def _write(accounts: Path, lines: dict[str, str], before: os.stat_result) -> None:
    """Keep owner and mode, or the broker could not read it any more."""
    replace_as_before(accounts, "".join(f"{name}:{proof}\n" for name, proof in lines.items()), before)


def replace_as_before(path: Path, text: str, before: os.stat_result) -> None:
    """Write ``path`` as a whole, with the owner and mode that it had ``before``.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        replace_durably(path, [text.encode()], stat.S_IMODE(before.st_mode))
        if os.geteuid() == 0:
            os.chown(path, before.st_uid, before.st_gid)
        path.chmod(stat.S_IMODE(before.st_mode))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
