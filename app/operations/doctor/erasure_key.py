"""The key of erased references: whether it is there, and the one with which the installation's erasures were made."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from app.operations.doctor.report import CheckResult, fail, ok, warn
from app.settings.settings import Settings
from app.wiring.district import is_district
from app.wiring.reference_key import reference_key
from app.wiring.store_files import is_missing_file
from app.wiring.stores import incidents_url, open_incidents_database
from contracts.erasure import key_name
from contracts.errors import LinliError
from governance.erasure_register import ordered_erasures

REMEDY = "put erasure.key_file back from a backup, or from a host that has it, before a process starts"
GIVE = "`openssl rand -hex 32`, the same file for every streams, incidents and archive process and for `linli erase`"


def erasure_key(settings: Settings) -> Iterator[CheckResult]:
    """Yield what is wrong with the key, or its name. Its name tells keys apart and is no secret; no key is made here.

    What lies on other hosts is not seen from here: there the same line has to have the same name.
    """
    try:
        used, compared = _used(settings), ""
    except (LinliError, SQLAlchemyError):  # away, or no tables yet; the check of the incidents says so
        used, compared = set[str](), ", not compared with the erasures that were made"
    path = settings.erasure.key_file
    if not path.exists():
        yield _missing(settings, used)
        return
    key = reference_key(settings)
    if foreign := sorted(used - {key.name}):
        detail = f"key {key.name} in {path}; erasures were made with {', '.join(foreign)}, and are not recognised"
        yield fail("erasure", detail, REMEDY)
        return
    elsewhere = "; it must have this name on every host" if is_district(settings) else ""
    yield ok("erasure", f"key {key.name} in {path}{compared}{elsewhere}")


def _missing(settings: Settings, used: set[str]) -> CheckResult:
    path = settings.erasure.key_file
    if used:
        detail = f"{path} is not there; erasures were made with key {', '.join(sorted(used))}, and are not recognised"
        return fail("erasure", detail, REMEDY)
    if is_district(settings):
        detail = f"{path} is not there: what is left of an erasure may be guessed"
        return warn("erasure", detail, GIVE)
    return ok("erasure", f"{path} is not there yet; linli run makes it")


def _used(settings: Settings) -> set[str]:
    """Return the names of the keys with which erasures were made; none where there is no register yet."""
    url = incidents_url(settings)
    if is_missing_file(url):
        return set()
    database = open_incidents_database(settings)
    try:
        with database.read() as connection:
            return {key_name(one.erasure.digest) for one in ordered_erasures(connection)} - {""}
    finally:
        database.close()
