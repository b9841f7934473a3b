"""The one settings file ``linli.toml``, checked as a whole, every key also from the environment.

``[section] key`` is ``LINLI_SECTION_KEY``. Precedence: environment, file, default. Unknown keys and wrong values make
one error that names them all. Secrets are given as files (``…_file``), so that printing this is harmless.
"""

from __future__ import annotations

import enum
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError
from contracts.findings import Severity
from contracts.names import is_id
from streams.results.influx_url import parse_influx

DEFAULT_FILE = "linli.toml"


class Source(enum.StrEnum):
    """Where a value in force came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


class Value(msgspec.Struct, frozen=True):
    """One value in force."""

    value: str
    source: Source


class Key(msgspec.Struct, frozen=True):
    """One key that may be set: its default, what it means, and what it must look like."""

    default: str
    meaning: str
    check: Callable[[str], str | None]


def _url(*schemes: str) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        if any(text.startswith(f"{scheme}:") for scheme in schemes):
            return None
        return f"expected a URL with {' or '.join(f'{s}:' for s in schemes)}"

    return check


def _database(text: str) -> str | None:
    user, at, _ = text.partition("://")[2].partition("@")
    if at and ":" in user:
        return "expected no password in the URL: put it into a file and name that in password_file"
    return _url("sqlite", "postgresql")(text)


def _optional(check: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda text: None if not text else check(text)


def _port(text: str) -> str | None:
    return None if text.isdigit() and int(text) <= 65_535 else "expected a port, 0–65535 (0: any free one)"


def _port_or_off(text: str) -> str | None:
    return None if text == "off" else _port(text) and "expected off, or a port, 0–65535 (0: any free one)"


def _whole(low: int, high: int) -> Callable[[str], str | None]:
    return lambda text: None if text.isdigit() and low <= int(text) <= high else f"expected a whole number {low}–{high}"


def _id(text: str) -> str | None:
    return None if is_id(text) else "expected an id: small letters, digits, - and _, at most 40"


def _ids(text: str) -> str | None:
    return None if all(is_id(part.strip()) for part in text.split(",") if part.strip()) else "expected ids with commas"


def _prefix(text: str) -> str | None:
    return None if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,60}", text) else "expected small letters, digits, . _ and -"


def _origins(text: str) -> str | None:
    given = {part.strip() for part in text.split(",")}
    return None if given <= {"live", "drill", "simulated"} else "expected some of live, drill, simulated, with commas"


def _language(text: str) -> str | None:
    return None if text in {"zh-CN", "en"} else "expected zh-CN or en"


def _truth(text: str) -> str | None:
    return None if text in {"true", "false"} else "expected true or false"


def _severity(text: str) -> str | None:
    return None if text in set(Severity) else f"expected one of {', '.join(Severity)}"


def _site_days(text: str) -> str | None:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    good = all(is_id(site) and days.isdigit() and 1 <= int(days) <= 36_500 for site, _, days in pairs)
    return None if good else "expected SITE=DAYS with commas, days 1–36500"


def _results_url(text: str) -> str | None:
    if not text.startswith("influx:"):
        return _url("sqlite", "influx")(text)
    try:
        parse_influx(text)
    except ConfigurationError as error:
        return str(error)
    return None


def _any(_text: str) -> str | None:
    return None


KEYS: dict[str, Key] = {
    "mqtt.url": Key("mqtt://127.0.0.1:1883", "the broker that devices publish to", _url("mqtt", "mqtts")),
    "mqtt.embedded": Key(
        "auto",
        "start a broker here: auto (mosquitto, else built in), mosquitto, amqtt, off",
        lambda t: None if t in {"auto", "mosquitto", "amqtt", "off"} else "expected auto, …, off",
    ),
    "mqtt.client_id": Key("linli-ingest-0", "the persistent session of this shard", _any),
    "mqtt.password_file": Key("", "file with user:password for the broker", _any),
    "mqtt.ca_file": Key("", "certificates of a private authority for mqtts (empty: the system's)", _any),
    "log.url": Key(
        "sqlite:///linli-data",
        "the log of batches; sqlite:///FOLDER holds day files and engine.db",
        _url("sqlite", "kafka"),
    ),
    "log.retention_days": Key("7", "days that the log is kept, and on Kafka the findings", _whole(1, 3650)),
    "log.retention_gb": Key(
        "20", "size of all day files, GB, beyond which the oldest go (0: none)", _whole(0, 100_000)
    ),
    "archive.folder": Key("linli-data/archive", "site-day segments of the log, encrypted (empty: none)", _any),
    "archive.key_file": Key("", "the sites' keys of the archive (empty: keys in archive.folder)", _any),
    "archive.retention_days": Key("30", "days that segments are kept", _whole(1, 36_500)),
    "archive.site_days": Key("", "sites that differ: SITE=DAYS with commas", _site_days),
    "kafka.partitions": Key("24", "partitions of log, findings and snapshots; chosen once", _whole(1, 1_000)),
    "kafka.replication": Key("0", "copies of each record (0: three, or as many as there are brokers)", _whole(0, 15)),
    "kafka.retention_bytes": Key("0", "most bytes of the log in each partition (0: no bound)", _whole(0, 2**62)),
    "kafka.prefix": Key("linli.", "what the topics' names begin with; one district, one prefix", _prefix),
    "inventory.url": Key(
        "",
        "the tables people edit (empty: with the incidents in PostgreSQL, else sqlite:///linli-data/config.db)",
        _optional(_database),
    ),
    "inventory.password_file": Key("", "file with the password of the role in inventory.url", _any),
    "incidents.url": Key(
        "sqlite:///linli-data/incidents.db",
        "incidents, deliveries and users: sqlite:///FILE, or postgresql://USER@HOST/DATABASE",
        _database,
    ),
    "incidents.password_file": Key("", "file with the password of the role in incidents.url", _any),
    "incidents.retention_days": Key("365", "days that closed incidents are kept", _whole(30, 36_500)),
    "results.url": Key(
        "sqlite:///linli-data/results.db",
        "results; influx://HOST:PORT/DATABASE?version=1|2|3&org=ORG for an InfluxDB",
        _results_url,
    ),
    "results.token_file": Key("", "file with the token for InfluxDB 2 or 3", _any),
    "results.password_file": Key("", "file with user:password for InfluxDB 1", _any),
    "results.retention_days": Key("400", "days that results are kept in results.db", _whole(1, 36_500)),
    "results.spool": Key("linli-data/results-spool.db", "where results wait for their store", _any),
    "results.spool_mb": Key("4096", "what waits at most, MiB; above it the oldest is dropped", _whole(1, 1_048_576)),
    "results.backlog_hours": Key("168", "how far back a log is read at the first start", _whole(0, 87_600)),
    "evidence.folder": Key("linli-data/evidence", "stills and clips, encrypted, by SHA-256", _any),
    "evidence.retention_hours": Key("720", "hours that evidence is kept", _whole(1, 87_600)),
    "console.host": Key("127.0.0.1", "address the page and API listen on", _any),
    "console.port": Key("8080", "port of the page and API; a taken one gives the next free one", _port),
    "console.language": Key("zh-CN", "language of the page before a user chooses", _language),
    "metrics.host": Key("127.0.0.1", "address the Prometheus endpoint of each process listens on", _any),
    "metrics.port": Key("0", "its port; 0: any free one, off: none; a taken one gives the next free one", _port_or_off),
    "webhook.url": Key("", "receiver of incidents (empty: none)", _optional(_url("http", "https"))),
    "webhook.secret_file": Key("", "file with the HMAC secret shared with the receiver", _any),
    "webhook.origins": Key("live", "which origins it is told: live, drill, simulated", _origins),
    "webhook.unverified": Key("false", "tell it of findings that rest on unproven absence: true or false", _truth),
    "webhook.min_severity": Key("minor", "the least it is told of: info, minor, major, critical", _severity),
    "ingest.sites": Key("", "sites to accept (empty: all in the inventory)", _ids),
    "dead_letters.folder": Key("linli-data/dead-letters", "rejected input, scrubbed, encrypted, ≤ 72 h", _any),
}
"""Every key, in the order it is printed."""

_ENVIRONMENT = re.compile(r"LINLI_([A-Z]+(?:_[A-Z]+)*)")
_NOT_SETTINGS = {"LINLI_SHARED", "LINLI_FUZZ_CASES"}


class Settings(msgspec.Struct, frozen=True):
    """What is in force. ``settings["log.url"]`` gives a value as text."""

    values: dict[str, Value]

    def __getitem__(self, key: str) -> str:
        return self.values[key].value

    def site_days(self) -> dict[str, int]:
        """Site → the days that its segments are kept, for those that differ."""
        pairs = (part.strip().partition("=") for part in self["archive.site_days"].split(",") if part.strip())
        return {site: int(days) for site, _, days in pairs}

    def folder(self) -> Path:
        """The folder of an embedded log.

        Raises:
            ConfigurationError: when ``log.url`` names no folder.
        """
        return sqlite_path(self, "log.url")


def sqlite_path(settings: Settings, key: str, url: str = "") -> Path:
    """The path in a ``sqlite:///PATH`` value; ``url`` instead of the key's own, where that is empty.

    Raises:
        ConfigurationError: when it is another kind of URL; says which command serves that.
    """
    url = settings[key] or url
    if not url.startswith("sqlite:///") or len(url) == len("sqlite:///"):
        raise ConfigurationError(f"{key} = {url!r}: on one machine this must be sqlite:///PATH")
    return Path(url.removeprefix("sqlite:///"))


def load_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from ``file`` (default ``linli.toml`` here, when it exists) and ``environ``.

    Raises:
        ConfigurationError: listing every unknown key and wrong value, with what was expected.
    """
    problems: list[str] = []
    written = _from_file(file, problems)
    from_environment = _from_environment(environ, problems)
    values: dict[str, Value] = {}
    for name, key in KEYS.items():
        if name in from_environment:
            value = Value(from_environment[name], Source.ENVIRONMENT)
        elif name in written:
            value = Value(written[name], Source.FILE)
        else:
            value = Value(key.default, Source.DEFAULT)
        wrong = key.check(value.value)
        if wrong:
            problems.append(f"{name} = {value.value!r} (from {value.source}): {wrong}")
        values[name] = value
    if problems:
        raise ConfigurationError("; ".join(problems))
    return Settings(values)


def environment_name(key: str) -> str:
    """``log.url`` → ``LINLI_LOG_URL``."""
    return "LINLI_" + key.upper().replace(".", "_")


def _from_file(file: Path | None, problems: list[str]) -> dict[str, str]:
    path = file or Path(DEFAULT_FILE)
    if not path.exists():
        if file is not None:
            raise ConfigurationError(f"settings file {file} does not exist")
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"settings file {path} is not TOML: {error}") from None
    found: dict[str, str] = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"{path}: {section!r} stands outside a [section]")
            continue
        for key, value in table.items():
            _take(found, f"{section}.{key}", value, str(path), problems)
    return found


def _take(found: dict[str, str], name: str, value: object, where: str, problems: list[str]) -> None:
    if name not in KEYS:
        problems.append(f"{where}: unknown key {name!r}{_nearest(name)}")
    elif isinstance(value, list):
        found[name] = ",".join(str(item) for item in value)
    elif isinstance(value, bool):
        found[name] = str(value).lower()
    elif isinstance(value, str | int):
        found[name] = str(value)
    else:
        problems.append(f"{where}: {name} = {value!r}: expected text or a whole number")


def _nearest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, KEYS, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(KEYS)})"


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    names = {environment_name(key): key for key in KEYS}
    found = {}
    for variable, value in environ.items():
        if variable in names:
            found[names[variable]] = value
        elif _ENVIRONMENT.fullmatch(variable) and variable not in _NOT_SETTINGS:
            problems.append(f"environment: {variable} is no setting")
    return found
