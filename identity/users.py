"""People: names, passwords, roles × sites, and their sessions. There is no default password."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from functools import cache

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import DatabaseError

from contracts.durations import HOUR_MS
from contracts.errors import ConfigurationError, LinliError, Transient
from contracts.names import is_id
from governance import audit
from identity.hashing_queue import HashingQueue
from identity.login_throttle import LoginThrottle
from identity.passwords import MAX_LENGTH, MIN_LENGTH, hash_password, is_outdated, is_password, random_password
from identity.roles import EVERY_SITE, Principal, Role
from incidents.store.history import SYSTEM
from incidents.store.schema import grants, sessions, users
from incidents.store.store import Store
from system.clock import Clock, wall_ms
from system.no_room import may_pass

SESSION_MS = 12 * HOUR_MS
IDLE_MS = 4 * HOUR_MS
_TOUCH_MS = 60_000  # a session's last use is written at most once a minute
_NAME = re.compile(r"[\w.@-]{1,40}")


class LoginRefused(LinliError):  # noqa: N818
    """Name or password is wrong; which of them is not said. ``wait_ms`` > 0: too many failures, not even tried."""

    def __init__(self, wait_ms: int = 0) -> None:
        super().__init__("name or password is wrong" if not wait_ms else f"wait {wait_ms} ms")
        self.wait_ms = wait_ms


class Session(msgspec.Struct, frozen=True):
    """A session that holds. The token itself is only in the person's cookie."""

    person: Principal
    token_sha256: str
    expires_ms: int


class Users:
    """Who may use the console."""

    def __init__(self, store: Store, *, clock_ms: Clock = wall_ms) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._throttle = LoginThrottle()
        self._hashing = HashingQueue()

    def first_run(self, keep: Callable[[str], object] = lambda _password: None) -> str | None:
        """Make ``admin`` with a random password when there is nobody yet; returns it.

        ``keep`` is given it before the person is there for good: what it raises undoes that.
        """
        with self._store.read() as connection:
            if _anybody(connection):
                return None
        password = random_password()
        hashed, now_ms = hash_password(password), self._clock_ms()
        with self._store.write() as connection:
            if _anybody(connection):  # another process that started with us was first
                return None
            keep(password)
            _add(connection, "admin", hashed, {EVERY_SITE: Role.ADMIN}, SYSTEM, now_ms)
        return password

    def add(self, name: str, password: str, roles: dict[str, Role], actor: str = SYSTEM) -> None:
        """Add a person.

        Raises:
            ConfigurationError: when the name is taken or malformed, the password too short, or there is no role.
        """
        check_name(name)
        check_password(password)
        check_roles(roles)
        hashed, now_ms = hash_password(password), self._clock_ms()
        with self._store.write() as connection:
            if _hash_of(connection, name) is not None:
                raise ConfigurationError(f"user {name!r} exists; change it with `linli users password` or remove it")
            _add(connection, name, hashed, roles, actor, now_ms)

    def set_password(self, name: str, password: str, actor: str = SYSTEM) -> None:
        """Change a password and end the person's sessions.

        Raises:
            ConfigurationError: when there is no such person or the password is too short.
        """
        check_password(password)
        hashed, now_ms = hash_password(password), self._clock_ms()
        with self._store.write() as connection:
            self._known(connection, name)
            connection.execute(update(users).where(users.c.name == name).values(password_hash=hashed))
            connection.execute(delete(sessions).where(sessions.c.name == name))
            audit.record(connection, actor, "user.password", name, {}, now_ms)

    def remove(self, name: str, actor: str = SYSTEM) -> None:
        """Remove a person and end their sessions; what they did keeps their name.

        Raises:
            ConfigurationError: when there is no such person.
        """
        with self._store.write() as connection:
            self._known(connection, name)
            for table in (sessions, grants, users):
                connection.execute(delete(table).where(table.c.name == name))
            audit.record(connection, actor, "user.remove", name, {}, self._clock_ms())

    def people(self) -> list[Principal]:
        """Return everybody, by name."""
        with self._store.read() as connection:
            names = connection.execute(select(users.c.name).order_by(users.c.name)).scalars().all()
            return [_person(connection, name) for name in names]

    def log_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """Return a new session's token and the session.

        Raises:
            LoginRefused: name or password is wrong, or too many were.
            Transient: too many log in at this moment.
        """
        now_ms = self._clock_ms()
        if wait_ms := self._throttle.reserve(name, address, now_ms):
            raise LoginRefused(wait_ms)
        try:
            started = self._try(name, password[:MAX_LENGTH], now_ms)
        except Transient:
            self._throttle.not_tried(name, address)
            raise
        if started is None:
            raise LoginRefused
        self._throttle.succeeded(name, address)
        return started

    def _try(self, name: str, password: str, now_ms: int) -> tuple[str, Session] | None:
        """Return a session if the password is right: again if the stored hash became another one meanwhile."""
        for _ in range(3):
            with self._store.read() as connection:
                hashed = _hash_of(connection, name)
            known = hashed or _hash_of_nobody()  # an unknown name costs as much time as a wrong password
            with self._hashing.turn():
                right = is_password(password, known)
                renewed = hash_password(password) if is_outdated(known) else known  # wrong or right, in the same time
            if not right or hashed is None:
                return None
            with self._store.write() as connection:
                if _hash_of(connection, name) == hashed:
                    connection.execute(update(users).where(users.c.name == name).values(password_hash=renewed))
                    return self._start_in(connection, name, now_ms)
        return None

    def session_of(self, token: str) -> Session | None:
        """Return the session that ``token`` belongs to, if it still holds."""
        key, now_ms = _digest(token), self._clock_ms()
        with self._store.read() as connection:
            row = connection.execute(select(sessions).where(sessions.c.token_sha256 == key)).first()
            if row is None or now_ms >= row.expires_ms or now_ms >= row.used_ms + IDLE_MS:
                return None
            session = Session(_person(connection, row.name), key, row.expires_ms)
        if now_ms - row.used_ms > _TOUCH_MS:
            self._touch(key, now_ms)
        return session

    def _touch(self, key: str, now_ms: int) -> None:
        """Note that a session was used; who looks at the page while nothing can be written still sees it."""
        try:
            with self._store.write() as connection:
                connection.execute(update(sessions).where(sessions.c.token_sha256 == key).values(used_ms=now_ms))
        except (DatabaseError, Transient) as error:
            if not isinstance(error, Transient) and not may_pass(error):
                raise

    def log_out(self, session: Session) -> None:
        """End a session."""
        with self._store.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.token_sha256 == session.token_sha256))
            audit.record(connection, session.person.name, "session.end", session.person.name, {}, self._clock_ms())

    def _start(self, name: str, now_ms: int) -> tuple[str, Session]:
        with self._store.write() as connection:
            return self._start_in(connection, name, now_ms)

    def _start_in(self, connection: Connection, name: str, now_ms: int) -> tuple[str, Session]:
        token = secrets.token_urlsafe(32)
        expires_ms = now_ms + SESSION_MS
        row = {"token_sha256": _digest(token), "name": name, "created_ms": now_ms, "used_ms": now_ms}
        connection.execute(delete(sessions).where(sessions.c.expires_ms < now_ms))
        connection.execute(insert(sessions).values(**row, expires_ms=expires_ms))
        audit.record(connection, name, "session.start", name, {}, now_ms)
        return token, Session(_person(connection, name), _digest(token), expires_ms)

    def _known(self, connection: Connection, name: str) -> None:
        if _hash_of(connection, name) is None:
            raise ConfigurationError(f"there is no user {name!r}; `linli users list` shows them")


def check_name(name: str) -> None:
    """Raise ConfigurationError unless ``name`` may be a person's."""
    if _NAME.fullmatch(name) is None or name == SYSTEM:
        raise ConfigurationError(f"user name {name[:60]!r}: 1–40 letters, digits and . _ @ -, and not {SYSTEM!r}")


def check_password(password: str) -> None:
    """Raise ConfigurationError unless ``password`` is long enough."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ConfigurationError(f"password of {len(password)} characters, expected {MIN_LENGTH}–{MAX_LENGTH}")


def check_roles(roles: dict[str, Role]) -> None:
    """Raise ConfigurationError unless there is a role, each at a site id or ``*``."""
    if not roles:
        raise ConfigurationError("a user needs at least one role, such as operator@site-1 or viewer@*")
    for site_id in roles:
        if site_id != EVERY_SITE and not is_id(site_id):
            raise ConfigurationError(f"site {site_id[:60]!r} is neither an id nor *")


def _anybody(connection: Connection) -> bool:
    return connection.execute(select(func.count()).select_from(users)).scalar_one() > 0


def _add(connection: Connection, name: str, hashed: str, roles: dict[str, Role], actor: str, now_ms: int) -> None:
    connection.execute(insert(users).values(name=name, password_hash=hashed, created_ms=now_ms))
    for site_id, role in roles.items():
        connection.execute(insert(grants).values(name=name, site_id=site_id, role=role.value))
    detail = {site_id: role.value for site_id, role in roles.items()}
    audit.record(connection, actor, "user.add", name, detail, now_ms)


def _person(connection: Connection, name: str) -> Principal:
    rows = connection.execute(select(grants.c.site_id, grants.c.role).where(grants.c.name == name))
    return Principal(name, {row.site_id: Role(row.role) for row in rows.all()})


def _hash_of(connection: Connection, name: str) -> str | None:
    return connection.execute(select(users.c.password_hash).where(users.c.name == name)).scalar()


@cache
def _hash_of_nobody() -> str:
    return hash_password(secrets.token_hex(16))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
