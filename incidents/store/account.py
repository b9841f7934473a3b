"""The account of a URL at its PostgreSQL server: whether it takes a password, and a new password for it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from contracts.errors import ConfigurationError, Permanent, Transient
from contracts.secrets import Secret
from incidents.store.login import password_refused
from incidents.store.postgresql import is_permanent_refusal, one_line, where_of

_CONNECT_S = 5


class PostgresAccount:
    """One role at one server.

    Args:
        url: ``postgresql://USER@HOST/DATABASE`` with options of libpq, without a password.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    @property
    def where(self) -> str:
        """The database as a person knows it."""
        return where_of(self._url)

    @property
    def same_as(self) -> tuple[object, ...]:
        """What two URLs of one account have in common."""
        return self._url.username, self._url.host, self._url.port, self._url.query.get("host")

    def takes(self, password: Secret) -> bool:
        """Return whether the server lets the role in with this password.

        Raises:
            ConfigurationError: it lets the role in without one, or does not whatever the password is.
            Transient: it does not answer.
        """
        try:
            with self._connect(password) as connection:
                asked = connection.pgconn.used_password
        except psycopg.OperationalError as error:
            if password_refused(error):
                return False
            detail = one_line(error)
            if is_permanent_refusal(detail):
                raise ConfigurationError(f"{self.where} does not let us in: {detail}") from None
            raise Transient(f"{self.where} does not answer: {detail}") from None
        if not asked:
            raise ConfigurationError(
                f"{self.where} asks for no password (trust, peer or a certificate in pg_hba.conf): "
                "there is none to exchange"
            )
        return True

    def change(self, present: Secret, new: Secret) -> None:
        """Give the role another password. It is sent as a SCRAM-SHA-256 verifier: no log of the server has it.

        Raises:
            Permanent: the server refuses. Transient: it went away; whether it is changed is not known.
        """
        try:
            with self._connect(present) as connection:
                (role,) = connection.execute("SELECT current_user").fetchone() or ("",)
                verifier = connection.pgconn.encrypt_password(new.reveal().encode(), role.encode(), b"scram-sha-256")
                change = sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(verifier.decode())
                connection.execute(change)
        except psycopg.OperationalError as error:
            raise Transient(f"{self.where} does not answer: {one_line(error)}") from None
        except psycopg.Error as error:
            raise Permanent(f"{self.where} refuses another password: {one_line(error)}") from None

    def _connect(self, password: Secret) -> psycopg.Connection[tuple[Any, ...]]:
        names = self._url.translate_connect_args(username="user", database="dbname")
        given = dict(self._url.query) | names | {"password": password.reveal()}
        more: dict[str, Any] = {"autocommit": True, "connect_timeout": _CONNECT_S, "application_name": "linli"}
        return psycopg.connect(**given, **more)
