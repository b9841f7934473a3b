"""Reads the settings: environment, else the file ``linli.toml``, else the default; checked as a whole.

``[table] key`` is ``LINLI_TABLE_KEY`` in the environment. Unknown keys and wrong values make one error that names them
all. A relative path in the file lies under the file's folder; one from the environment, and a default, under the
working directory. A store that is not set lies beside the log.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from app.settings.kinds import SQLITE
from app.settings.moved import StorePlace, Why, left_behind
from app.settings.receivers import WEBHOOK, read_receivers
from app.settings.settings import Key, Settings, keys, tables
from app.settings.transport import wrong_transport
from contracts.errors import ConfigurationError
from contracts.suggestions import did_you_mean, nearest
from contracts.written_text import decode_written
from delivery.receivers.tables import ReceiverSettings

DEFAULT_FILE = "linli.toml"
RECEIVER = "receiver"
_PREFIX = "LINLI_"
_VARIABLE = re.compile(rf"{_PREFIX}([A-Z]+(?:_[A-Z]+)*)")
_NO_SETTINGS = {"LINLI_SHARED", "LINLI_FUZZ_CASES"}


class ValueOrigin(StrEnum):
    """Where a value in force came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FOLLOWS_LOG = "follows log.url"
    FOLLOWS_INCIDENTS = "follows incidents.url"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where the value of each key came from."""

    settings: Settings
    origins: Mapping[str, ValueOrigin]


class _File(msgspec.Struct):
    """What a settings file says: texts by key, and the receivers' tables as they are."""

    folder: Path = Path()
    texts: dict[str, str] = {}
    receivers: tuple[Mapping[str, object], ...] = ()


class _Value(msgspec.Struct, frozen=True):
    value: Any
    origin: ValueOrigin


def load_settings(
    file: Path | None = None, environ: Mapping[str, str] = os.environ, working: Path | None = None
) -> Settings:
    """Return the settings of ``file`` (default: ``linli.toml`` here, when it exists) and ``environ``.

    Args:
        file: the settings file.
        environ: the environment.
        working: where another process works whose settings these are; defaults lie under it (default: here).

    Raises:
        ConfigurationError: listing every unknown key and wrong value, with what was expected.
    """
    return load(file, environ, working).settings


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ, working: Path | None = None) -> Loaded:
    """Return the settings with their origins. See :func:`load_settings`."""
    problems: list[str] = []
    written = _read(file, problems)
    variables = _variables(environ, problems)
    given = {name: _given(key, written, variables, problems) for name, key in keys().items()}
    if working is not None:
        given = {name: _elsewhere(keys()[name], value, working) for name, value in given.items()}
    receivers = _receivers(written, given, problems)
    _raise(problems)
    values = _followed({name: value for name, value in given.items() if value is not None})
    if working is None:
        _raise(left_behind(_places(values, written), _log_folder(values)))
    settings = Settings(**_tables(values), receiver=receivers)
    _raise(list(wrong_transport(settings)))
    return Loaded(settings, {name: value.origin for name, value in values.items()})


def _receivers(written: _File, given: Mapping[str, _Value | None], problems: list[str]) -> tuple[ReceiverSettings, ...]:
    """Return the ``[[receiver]]`` tables, after adding what is wrong with them; a wrong URL was added already."""
    url = given[f"{WEBHOOK}.url"]
    try:
        return read_receivers(written.receivers, written.folder, with_webhook=url is not None and bool(url.value))
    except ConfigurationError as error:
        problems.append(str(error))
        return ()


def _tables(values: Mapping[str, _Value]) -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {table: {} for table in tables()}
    for name, key in keys().items():
        fields[key.table][key.field] = values[name].value
    return {table: struct(**fields[table]) for table, struct in tables().items()}


def _raise(problems: list[str]) -> None:
    if problems:
        raise ConfigurationError("; ".join(problems))


# --- one value --------------------------------------------------------------------------------------------------------


def _given(key: Key, written: _File, variables: Mapping[str, str], problems: list[str]) -> _Value | None:
    """Return the value that wins, before any store follows another; None after adding what is wrong with it."""
    if key.name in variables:
        text, origin, folder = variables[key.name], ValueOrigin.ENVIRONMENT, None
    elif key.name in written.texts:
        text, origin, folder = written.texts[key.name], ValueOrigin.FILE, written.folder
    else:
        return _Value(key.default, ValueOrigin.DEFAULT)
    try:
        value = key.kind.parse(_seen(text))
    except ValueError as error:
        problems.append(f"{key.name} = {key.kind.hide(text)!r} (from {origin}): {error}")
        return None
    return _Value(value if folder is None else key.kind.under(value, folder), origin)


def _seen(text: str) -> str:
    """Return the text of a setting. Raise ValueError where it holds NUL or another control character."""
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ValueError("it holds a control character; expected text")
    return text


def _elsewhere(key: Key, value: _Value | None, working: Path) -> _Value | None:
    """Return a default as it is for a process that works in another folder."""
    if value is None or value.origin is not ValueOrigin.DEFAULT:
        return value
    return _Value(key.kind.under(value.value, working), value.origin)


def _followed(values: dict[str, _Value]) -> dict[str, _Value]:
    """Return the values with every store that is not set beside the log, or beside the incidents in PostgreSQL."""
    folder = _log_folder(values)
    found = dict(values)
    if not values["inventory.url"].value:
        found["inventory.url"] = _Value(keys()["inventory.url"].default, ValueOrigin.DEFAULT)
    if folder is not None and values["log.url"].origin is not ValueOrigin.DEFAULT:
        for name, key in keys().items():
            if key.beside_log and found[name].origin is ValueOrigin.DEFAULT:
                found[name] = _Value(key.kind.parse(_beside(key, folder)), ValueOrigin.FOLLOWS_LOG)
    set_apart = found["inventory.url"].origin in {ValueOrigin.FILE, ValueOrigin.ENVIRONMENT}
    if not set_apart and found["incidents.url"].value.startswith("postgresql:"):
        found["inventory.url"] = _Value("", ValueOrigin.FOLLOWS_INCIDENTS)
    return found


def _log_folder(values: Mapping[str, _Value]) -> Path | None:
    url: str = values["log.url"].value
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def _beside(key: Key, folder: Path) -> str:
    prefix = SQLITE if key.field == "url" else ""
    return f"{prefix}{folder / key.beside_log}"


def _places(values: Mapping[str, _Value], written: _File) -> list[StorePlace]:
    """Return where each store lies now, and where it lay before stores followed and files had a folder."""
    found = []
    for name, key in keys().items():
        if not key.beside_log and name != "log.url":
            continue
        now = values[name]
        match now.origin:
            case ValueOrigin.FILE:
                found.append(StorePlace(name, written.texts[name], key.kind.text(now.value), Why.UNDER_THE_FILE))
            case ValueOrigin.FOLLOWS_LOG:
                found.append(StorePlace(name, key.kind.text(key.default), key.kind.text(now.value), Why.FOLLOWS_LOG))
            case _:
                pass
    return found


# --- the file and the environment -------------------------------------------------------------------------------------


def _read(file: Path | None, problems: list[str]) -> _File:
    path = file or Path(DEFAULT_FILE)
    if not path.exists():
        if file is not None:
            raise ConfigurationError(f"settings file {file} does not exist")
        return _File()
    try:
        content = tomllib.loads(decode_written(path.read_bytes(), f"settings file {path}"))
    except OSError as error:
        raise ConfigurationError(f"settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"settings file {path} is not TOML: {error}") from None
    except ValueError:  # Python reads no number of more than some 4,300 digits
        raise ConfigurationError(f"settings file {path}: a number with thousands of digits; expected none") from None
    found = _File(path.parent)
    for name, table in content.items():
        if name == RECEIVER:
            found.receivers = _receiver_tables(table, str(path), problems)
        elif isinstance(table, dict):
            _read_table(found, name, table, str(path), problems)
        else:
            problems.append(f"{path}: {name!r} stands outside a [section]")
    return found


def _receiver_tables(tables: object, where: str, problems: list[str]) -> tuple[Mapping[str, object], ...]:
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tuple(tables)
    problems.append(f"{where}: {RECEIVER}: expected [[{RECEIVER}]] tables")
    return ()


def _read_table(found: _File, table: str, content: Mapping[str, object], where: str, problems: list[str]) -> None:
    for field, value in content.items():
        name = f"{table}.{field}"
        text = _text(value)
        if name not in keys():
            problems.append(f"{where}: unknown key {name!r} ({did_you_mean(name, keys())})")
        elif text is None:
            problems.append(f"{where}: {name} is {_type(value)}: expected text or a whole number")
        else:
            found.texts[name] = text


def _text(value: object) -> str | None:
    """Return what a value of TOML is as the text of a setting; None where no setting is of that type."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int():
            return str(value)
        case list():
            return ",".join(str(item) for item in value)
        case _:
            return None


def _type(value: object) -> str:
    """Return what a value is instead of what it says: it may be a secret."""
    return "a table" if isinstance(value, dict) else "a fraction" if isinstance(value, float) else "a date or time"


def _variables(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    names = {key.variable: key.name for key in keys().values()}
    found = {}
    for variable, text in environ.items():
        if variable in names:
            found[names[variable]] = text
        elif _VARIABLE.fullmatch(variable) and variable not in _NO_SETTINGS:
            problems.append(f"environment: {variable} is no setting{_nearest_variable(variable, names)}")
    return found


def _nearest_variable(variable: str, known: Iterable[str]) -> str:
    """Return the variable that was probably meant: what all begin with says nothing, and half alike is not enough."""
    names = [name.removeprefix(_PREFIX) for name in known]
    close = nearest(variable.removeprefix(_PREFIX), names, alike=0.7)
    return f" (did you mean {_PREFIX + close!r}?)" if close else " (`linli check-config --markdown` prints them all)"
