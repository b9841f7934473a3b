"""Which sites a deployment knows: what a command is given for another one is a slip of the pen."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect, select

from app.settings.settings import Settings
from app.wiring.stores import look_into_inventory, open_incidents_database
from contracts.errors import ConfigurationError
from contracts.names import ID_PATTERN, is_id
from contracts.suggestions import nearest
from incidents.store.schema import incidents
from streams.archive.keys import SiteKeys

_SQLITE = "sqlite:///"


def need_site(settings: Settings, site_id: str) -> str:
    """Return ``site_id`` itself when the deployment knows such a site.

    Raises:
        ConfigurationError: it does not; names the site that was probably meant. Transient: a server does not answer.
    """
    if not is_id(site_id):
        raise ConfigurationError(f"site {site_id[:60]!r} is no id; expected one that matches {ID_PATTERN}")
    known = known_sites(settings)
    if site_id in known:
        return site_id
    close = nearest(site_id, known)
    if close:
        instead = f"did you mean {close!r}?"
    elif known:
        instead = f"known are {', '.join(sorted(known)[:20])}"
    else:
        instead = "no site is known yet: `linli inventory load FILE` first"
    raise ConfigurationError(f"there is no site {site_id!r}; {instead}")


def known_sites(settings: Settings) -> set[str]:
    """Return the sites of the inventory, and those that are gone from it and have incidents or an archive still."""
    found = _with_incidents(settings) | _archived(settings)
    with look_into_inventory(settings) as inventory:
        if inventory is not None:
            found |= {record.site_id for record in (*inventory.sites(), *inventory.devices())}
    return found


def _with_incidents(settings: Settings) -> set[str]:
    url = settings.incidents.url
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
        return set()
    with closing(open_incidents_database(settings)) as database, database.read() as connection:
        if not inspect(connection).has_table(incidents.name):
            return set()
        return set(connection.execute(select(incidents.c.site_id).distinct()).scalars())


def _archived(settings: Settings) -> set[str]:
    folder = settings.archive.folder
    if folder is None:
        return set()
    return set(SiteKeys(settings.archive.key_file or folder / "keys").sites())
