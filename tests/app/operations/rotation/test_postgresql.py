"""The password of PostgreSQL is exchanged while processes work: they go on, and no crash in between locks out."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.main import exit_code, linli
from app.operations.rotation.exchange import SecretFile
from app.operations.rotation.postgresql import postgres_accounts
from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.stores import open_incidents, open_incidents_database
from contracts.errors import ConfigurationError, Transient
from incidents.store.account import PostgresAccount
from incidents.store.database import Database
from incidents.store.store import Store
from system.next_secret import next_of
from tests.ingest.clients import wait_until
from tests.support.postgres import Postgres, shared_postgres

pytestmark = [pytest.mark.service, pytest.mark.patient]
OLD = "the old password"
PATIENCE_S = 60.0


class Role:
    """A role of its own on the shared server, with a database and a file for its password."""

    def __init__(self, folder: Path, name: str) -> None:
        self.server: Postgres = shared_postgres()
        self.name, self.database = name, self.server.create()
        self.server.execute(f"DROP ROLE IF EXISTS {name}")
        self.server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{OLD}'")
        self.server.execute(f"ALTER DATABASE {self.database} OWNER TO {name}")
        self.file = folder / "postgres"
        self.file.write_text(f"{OLD}\n", encoding="utf-8")
        self.file.chmod(0o640)
        self.url = f"postgresql://{name}@127.0.0.1:{self.server.port}/{self.database}"
        self.environment = {"LINLI_INCIDENTS_URL": self.url, "LINLI_INCIDENTS_PASSWORD_FILE": str(self.file)}

    def settings(self, **other: str) -> Settings:
        return load_settings(None, self.environment | other)

    def password(self) -> str:
        return self.file.read_text(encoding="utf-8").strip()

    def takes(self, password: str) -> bool:
        """Whether a client that knows this password gets in."""
        try:
            psycopg.connect(self.url, password=password).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            return False
        return True

    def set(self, password: str) -> None:
        self.server.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'")

    def rotate(self, *options: str, **other: str) -> Result:
        environment = self.environment | other
        return CliRunner().invoke(linli, ["secrets", "rotate", "postgresql", *options], env=environment)

    def only_the_file_counts(self) -> bool:
        """Whether the file has another password than before, which is taken, and the one before is not."""
        return self.password() != OLD and self.takes(self.password()) and not self.takes(OLD)


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    role = Role(tmp_path, "rotated")
    yield role
    role.server.drop(role.database)
    role.server.execute(f"DROP ROLE {role.name}")


def _backend(database: Database) -> int:
    """The server's process behind the connection that answers."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar() or 0)


def test_a_process_goes_on_and_connects_anew_after_the_exchange(role: Role) -> None:
    with closing(open_incidents_database(role.settings())) as database:
        before = _backend(database)
        result = role.rotate()
        assert result.exit_code == 0, result.output
        assert _backend(database) == before  # what is open stays open
        role.server.execute(f"SELECT pg_terminate_backend({before}, 30000)")
        assert _backend(database) != before  # and a new one has the new password
    assert role.only_the_file_counts()
    assert stat.S_IMODE(role.file.stat().st_mode) == 0o640
    assert not next_of(role.file).exists()
    assert role.password() not in result.output


def test_bells_and_names_that_are_lost_come_back_with_the_new_password(role: Role) -> None:
    with closing(open_incidents(role.settings())) as store, closing(open_incidents(role.settings())) as other:
        rang, stop = threading.Event(), threading.Event()
        store.commit_signal.subscribe(rang.set)
        following = threading.Thread(target=store.follow, args=(stop,))
        following.start()
        leases, ended = store.leases(), threading.Event()
        ended.set()
        assert leases.holds("outbox")
        leases.run(ended)  # it gives up its session, and the next one logs in anew
        assert role.rotate().exit_code == 0
        role.server.execute(
            f"SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE usename = '{role.name}'"
        )
        try:
            assert wait_until(lambda: leases.holds("outbox"), PATIENCE_S)
            rang.clear()
            assert wait_until(lambda: _commit(other) and rang.wait(0.2), PATIENCE_S)
        finally:
            leases.run(ended)
            stop.set()
            following.join(PATIENCE_S)


def _commit(store: Store) -> bool:
    with store.write() as connection:
        connection.execute(text("SELECT 1"))
    return True


@pytest.mark.parametrize("step", ["prepared", "changed"])
def test_killed_between_the_steps_and_run_again_it_comes_out_right(
    role: Role, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        if step == "prepared":
            killed.setattr(PostgresAccount, "change", _killed)
        else:
            killed.setattr(SecretFile, "take_next", _killed)
        assert isinstance(role.rotate().exception, KeyboardInterrupt | SystemExit)
    assert role.password() == OLD
    assert role.takes(OLD) == (step == "prepared")
    with closing(open_incidents_database(role.settings())) as database:
        assert _backend(database)  # a process that starts meanwhile gets in, whichever it is
    waiting = next_of(role.file).read_text(encoding="utf-8").strip()
    assert role.rotate().exit_code == 0
    assert role.only_the_file_counts()
    assert role.password() == waiting


def _killed(*_given: object) -> None:
    raise KeyboardInterrupt


def test_other_machines_have_the_next_one_before_it_counts(role: Role, tmp_path: Path) -> None:
    theirs = tmp_path / "other machine"
    theirs.write_text(role.file.read_text(encoding="utf-8"), encoding="utf-8")
    settings = role.settings(LINLI_INCIDENTS_PASSWORD_FILE=str(theirs))
    assert role.rotate("--prepare").exit_code == 0
    assert role.takes(OLD)
    next_of(theirs).write_text(next_of(role.file).read_text(encoding="utf-8"), encoding="utf-8")
    assert role.rotate().exit_code == 0
    with closing(open_incidents_database(settings)) as database:
        assert _backend(database)
    assert role.only_the_file_counts()


def test_two_files_of_one_account_are_exchanged_together(role: Role, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_text(OLD, encoding="utf-8")
    more = {"LINLI_INVENTORY_URL": role.url, "LINLI_INVENTORY_PASSWORD_FILE": str(second)}
    assert len(postgres_accounts(role.settings(**more))) == 1
    assert role.rotate(**more).exit_code == 0
    assert role.only_the_file_counts()
    assert second.read_text(encoding="utf-8").strip() == role.password()


def test_the_servers_log_never_has_the_new_password(role: Role) -> None:
    role.server.execute(f"ALTER DATABASE {role.database} SET log_statement = 'all'")
    assert role.rotate().exit_code == 0
    log = (role.server._folder / "log").read_text(encoding="utf-8", errors="replace")
    assert "ALTER ROLE CURRENT_USER PASSWORD 'SCRAM-SHA-256$" in log
    assert role.password() not in log


def test_a_process_whose_password_is_replaced_by_hand_waits_for_the_file(role: Role) -> None:
    with closing(open_incidents_database(role.settings())) as database:
        before = _backend(database)
        role.set("by hand")
        role.server.execute(f"SELECT pg_terminate_backend({before}, 30000)")
        with pytest.raises(Transient, match="does not take the password any more that it took before"):
            _backend(database)
        role.file.write_text("by hand", encoding="utf-8")
        assert _backend(database)
        role.file.unlink()
        role.server.execute(f"SELECT pg_terminate_backend({_backend(database)}, 30000)")
        assert _backend(database)  # what it knew is still right


def test_a_process_that_never_got_in_ends_with_a_sentence(role: Role) -> None:
    role.set("another")
    with closing(open_incidents_database(role.settings())) as database, pytest.raises(ConfigurationError) as told:
        _backend(database)
    assert "does not let us in" in str(told.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"LINLI_INCIDENTS_URL": "sqlite:///x.db"}, "no password of PostgreSQL is ours to exchange"),
        ({"LINLI_INCIDENTS_PASSWORD_FILE": ""}, "no password of PostgreSQL is ours to exchange"),
        ({"LINLI_INCIDENTS_PASSWORD_FILE": "nowhere"}, "incidents.password_file = 'nowhere' cannot be read"),
    ],
)
def test_what_cannot_be_exchanged_is_a_sentence(
    role: Role, given: dict[str, str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (role.environment | given).items():
        monkeypatch.setenv(name, value)
    assert exit_code(["secrets", "rotate", "postgresql"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert role.takes(OLD)


def test_a_wrong_password_in_the_file_changes_nothing(role: Role) -> None:
    role.file.write_text("wrong", encoding="utf-8")
    result = role.rotate()
    assert isinstance(result.exception, ConfigurationError)
    assert f"does not take the password in {role.file}" in str(result.exception)
    assert role.takes(OLD)
    assert not next_of(role.file).exists()


def test_when_neither_is_right_it_says_so_and_keeps_both(role: Role) -> None:
    assert role.rotate("--prepare").exit_code == 0
    role.set("by hand")
    result = role.rotate()
    assert "takes neither the password" in str(result.exception)
    assert role.password() == OLD
    assert next_of(role.file).exists()


def test_a_server_that_is_away_changes_nothing(role: Role) -> None:
    away = role.url.replace(str(role.server.port), "1")
    result = role.rotate(LINLI_INCIDENTS_URL=away)
    assert isinstance(result.exception, Transient)
    assert not next_of(role.file).exists()


def test_a_role_without_a_password_is_left_alone(role: Role) -> None:
    hba = role.server._folder / "data" / "pg_hba.conf"
    as_it_was = hba.read_text(encoding="utf-8")
    hba.write_text(f"host all {role.name} 127.0.0.1/32 trust\n{as_it_was}", encoding="utf-8")
    try:
        role.server.execute("SELECT pg_reload_conf()")
        assert wait_until(lambda: role.takes("anything"), PATIENCE_S)
        result = role.rotate()
        assert "asks for no password" in str(result.exception)
        assert not next_of(role.file).exists()
    finally:
        hba.write_text(as_it_was, encoding="utf-8")
        role.server.execute("SELECT pg_reload_conf()")
        assert wait_until(lambda: not role.takes("anything"), PATIENCE_S)
