"""Logging in to PostgreSQL with a password that may be exchanged while this process works.

It is asked for at each connection. What is refused is looked up again, for it may just have been exchanged; so no
process has to be started again for a new password.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from contracts.errors import Transient
from contracts.proofs import ProofsInTurn
from contracts.secrets import Passwords, Secret

C = TypeVar("C")

_RETRY_S = 1.0
_REFUSED = "password authentication failed"


def password_refused(error: psycopg.Error) -> bool:
    """Return whether the server says that the password is wrong. While connecting it gives no code."""
    return _REFUSED in str(error)


class Login:
    """How one role of one database logs in.

    Args:
        where: the database as a person knows it.
        passwords: what proves the role; None leaves it to the URL and to libpq.
    """

    def __init__(self, where: str, passwords: Passwords | None) -> None:
        self._where = where
        self._proofs = ProofsInTurn(passwords or _nothing)

    def connect(self, connect: Callable[[dict[str, str]], C]) -> C:
        """Return what ``connect`` gives with the settings of a password that the server takes.

        Raises:
            Transient: the server takes none, and took one before: it is being exchanged.
            ConfigurationError: the password cannot be read, and none was taken yet.
            psycopg.Error: the server is away, or refuses us for another reason, or from the beginning.
        """
        refusal: psycopg.OperationalError | None = None
        for password in self._proofs:
            try:
                connection = connect({"password": password.reveal()} if password else {})
            except psycopg.OperationalError as error:
                if not password_refused(error):
                    raise
                refusal = error
            else:
                self._proofs.taken = password
                return connection
        assert refusal is not None
        if self._proofs.taken is None:
            raise refusal
        remedy = "bring the new one into its password_file; then it goes on, or has to be started again"
        raise Transient(f"{self._where} does not take the password any more that it took before; {remedy}", _RETRY_S)


def _nothing() -> list[Secret]:
    """Return what leaves it to the URL and to libpq."""
    return [Secret("")]
