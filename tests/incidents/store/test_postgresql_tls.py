"""PostgreSQL over TLS: its certificate is verified in full, and what is wrong with it is said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.stores import open_incidents_database, open_inventory_tables
from contracts.errors import ConfigurationError, LinliError, Transient
from tests.support.authority import EXPIRED, FUTURE, GOOD, Authority
from tests.support.postgres import PASSWORD, USER, Postgres, need_postgres, running_postgres

pytestmark = [pytest.mark.service, pytest.mark.patient]


class Secured(msgspec.Struct):
    """A server that takes only TLS, its authority, and a folder for files."""

    server: Postgres
    authority: Authority
    folder: Path

    def show(self, name: str, days: tuple[int, int] = GOOD, hosts: tuple[str, ...] = ("127.0.0.1",)) -> None:
        """Have the server show such a certificate from now on."""
        files = self.authority.issue(name, days, hosts)
        assert files.cert_file is not None and files.key_file is not None
        self.server.show(files.cert_file, files.key_file)

    def settings(self, **other: str) -> Settings:
        """What is right; ``other`` in its place."""
        password = self.folder / "password"
        password.write_text(other.pop("password", PASSWORD), encoding="utf-8")
        given = {
            "LINLI_INCIDENTS_URL": f"postgresql://{USER}@127.0.0.1:{self.server.port}/postgres",
            "LINLI_INCIDENTS_PASSWORD_FILE": str(password),
            "LINLI_INCIDENTS_CA_FILE": str(self.authority.ca_file),
        }
        return load_settings(None, given | other)

    def error(self, **other: str) -> LinliError:
        """How asking the server something ends."""
        with pytest.raises((Transient, ConfigurationError)) as caught:
            self.ask(**other)
        return caught.value

    def ask(self, **other: str) -> object:
        """Whether the connection is encrypted, as the server says."""
        database = open_incidents_database(self.settings(**other))
        try:
            with database.write() as connection:
                return connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
        finally:
            database.close()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    need_postgres()
    folder = tmp_path_factory.mktemp("tls")
    with running_postgres() as server:
        yield Secured(server, Authority(folder / "ours"), folder)


def test_the_incidents_and_the_inventory_are_reached_over_tls_alone(secured: Secured) -> None:
    secured.show("good")
    assert secured.ask() is True
    settings = load_settings(
        None, {"LINLI_LOG_URL": "kafka://k", "LINLI_INCIDENTS_URL": "postgresql://x/y"} | _environment(secured)
    )
    tables = open_inventory_tables(settings)
    tables.make(["CREATE TABLE IF NOT EXISTS t (x INTEGER)"])
    tables.close()


def _environment(secured: Secured) -> dict[str, str]:
    secured.settings()
    return {
        "LINLI_INCIDENTS_URL": f"postgresql://{USER}@127.0.0.1:{secured.server.port}/postgres",
        "LINLI_INCIDENTS_PASSWORD_FILE": str(secured.folder / "password"),
        "LINLI_INCIDENTS_CA_FILE": str(secured.authority.ca_file),
    }


def test_a_server_without_tls_is_not_spoken_to(secured: Secured) -> None:
    secured.server.switch_tls("off")
    error = secured.error()
    assert isinstance(error, Transient)
    assert "the other side does not speak TLS at this port: turn it on there" in str(error)


def test_a_wrong_authority_is_one_sentence_that_names_the_setting(secured: Secured) -> None:
    secured.show("good")
    other = Authority(secured.folder / "other", "another authority")
    error = secured.error(LINLI_INCIDENTS_CA_FILE=str(other.ca_file))
    assert isinstance(error, Transient)
    assert "of no authority that we trust: name its authority in incidents.ca_file" in str(error)


@pytest.mark.parametrize(
    ("name", "days", "hosts", "said"),
    [
        ("old", EXPIRED, ("127.0.0.1",), "has expired, or this machine's clock (2"),
        ("new", FUTURE, ("127.0.0.1",), "is not valid yet, or this machine's clock (2"),
        ("elsewhere", GOOD, ("db.example",), "is for other names than the address has"),
    ],
)
def test_a_certificate_that_must_not_be_believed_is_one_sentence(
    secured: Secured, name: str, days: tuple[int, int], hosts: tuple[str, ...], said: str
) -> None:
    secured.show(name, days, hosts)
    error = secured.error()
    assert isinstance(error, Transient)
    assert f"the certificate of the other side {said}" in str(error)
    secured.show("good")
    assert secured.ask() is True


def test_a_wrong_password_says_which_file(secured: Secured) -> None:
    secured.show("good")
    error = secured.error(password="wr0ng")
    assert isinstance(error, ConfigurationError)
    assert "correct the role, or its password_file" in str(error)
    assert "wr0ng" not in str(error)


def test_a_file_without_certificates_is_refused_before_anything_is_asked(secured: Secured, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate", encoding="utf-8")
    for path in (nothing, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match=r"incidents\.ca_file = .* cannot be used"):
            open_incidents_database(secured.settings(LINLI_INCIDENTS_CA_FILE=str(path)))
