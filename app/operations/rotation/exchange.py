"""A password that lies in a file and at a server is exchanged in both, and nobody is locked out by a crash between.

First the new one is written beside the file (``NAME.next``), then the server is told, then the new file takes the place
of the old one. Whoever finds a ``NAME.next`` asks the server which of the two it takes, and does what is left to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from app.settings.secret_files import read_secret
from contracts.errors import ConfigurationError, Permanent
from contracts.secrets import Secret
from ingest.session.accounts import replace_as_before
from system.durable_files import sync_folder
from system.next_secret import next_of


class Account(Protocol):
    """An account at a server that knows one password at a time."""

    @property
    def where(self) -> str:
        """The server as a person knows it, and whose account it is."""
        ...

    def takes(self, password: Secret) -> bool:
        """Return whether the server takes this password; raises when that cannot be said."""
        ...

    def change(self, present: Secret, new: Secret) -> None:
        """Have the server take ``new`` and refuse ``present``."""
        ...


class SecretFile(msgspec.Struct, frozen=True):
    """The file that a setting names. ``prefix``: what stands before the password in it, such as ``user:``."""

    path: Path
    key: str
    prefix: str = ""

    def present(self) -> Secret:
        """Return the password in force. Raises as :func:`app.settings.secret_files.read_secret`."""
        return self._password(self.path)

    def waiting(self) -> Secret | None:
        """Return the password that is to follow, if one was made."""
        return self._password(next_of(self.path)) if next_of(self.path).exists() else None

    def write_next(self, password: Secret) -> None:
        """Write the password that is to follow, for those who may read the present one.

        Raises:
            ConfigurationError: it cannot be written.
        """
        try:
            before = self.path.stat()
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from None
        replace_as_before(next_of(self.path), f"{self.prefix}{password.reveal()}\n", before)

    def take_next(self) -> None:
        """Put what is to follow in the place of the present one, as a whole.

        Raises:
            ConfigurationError: it cannot be written.
        """
        try:
            next_of(self.path).replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}") from None

    def _password(self, path: Path) -> Secret:
        text = read_secret(path, self.key).reveal()
        if not text.startswith(self.prefix) or text == self.prefix:
            raise ConfigurationError(f"{self.key} = {str(path)!r}: expected one line {self.prefix}password")
        return Secret(text.removeprefix(self.prefix))


def new_password() -> Secret:
    """Return a password of 128 bits that was never used."""
    return Secret(secrets.token_hex(16))


def prepare(account: Account, files: Sequence[SecretFile], make: Callable[[], Secret] = new_password) -> Secret:
    """Return the password that is to follow, written beside each of the files; the server is not told yet.

    Where one waits already it stays: it may be the server's by now.

    Raises:
        ConfigurationError: a file cannot be read or written, or the server does not take the present password.
    """
    waiting = files[0].waiting()
    if waiting is None and not account.takes(files[0].present()):
        raise ConfigurationError(f"{account.where} does not take the password in {files[0].path}: correct that first")
    new = waiting or make()
    for file in reversed(files):  # the first file says whether there is one, so it is the last to have it
        file.write_next(new)
    return new


def exchange(account: Account, files: Sequence[SecretFile], make: Callable[[], Secret] = new_password) -> None:
    """Exchange the password of ``account`` at its server and in ``files``; go on where an earlier run ended.

    Raises:
        ConfigurationError: a file cannot be read or written, or the server takes neither the present password nor the
            one that waits.
        Permanent: the server refuses another password. Transient: it does not answer; run it again.
    """
    new = prepare(account, files, make)
    if not account.takes(new):
        present = files[0].present()
        if not account.takes(present):
            beside = next_of(files[0].path).name
            raise ConfigurationError(
                f"{account.where} takes neither the password in {files[0].path} nor the one in {beside}: "
                "write the right one into the former, and delete the latter"
            )
        account.change(present, new)
        if not account.takes(new):
            raise Permanent(f"{account.where} does not take the new password; {files[0].path} is as it was")
    for file in reversed(files):
        file.take_next()
