"""``linli erase``: erase a reference from every store, say what became of it in each, and look again later."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.erasure import open_stores
from app.wiring.known_sites import need_site
from app.wiring.reference_key import reference_key
from contracts.erasure import Erasure, ReferenceKey
from contracts.errors import ConfigurationError, Permanent
from contracts.events import ReferenceKind
from contracts.names import is_id
from governance.erasing import erase as erase_everywhere
from governance.erasing import verify
from governance.erasure_answers import ErasureOutcome, ErasureResult
from system.clock import wall_ms

NO_KEY = (
    "erasure.key_file names no file, so what is kept of the erasure could be guessed. Make one with `openssl rand "
    "-hex 32 > FILE`; give it to this command and to each `linli streams run`, `archive run` and `incidents run`"
)


@click.group("erase", invoke_without_command=True)
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.option("--site", help="the site's id")
@click.option("--person", help="a person_ref of the site")
@click.option("--visitor", help="a visitor registration's id")
@click.option("--vehicle", help="a vehicle's id")
@click.option("--tag", help="a vehicle tag's id")
@click.pass_context
def command(
    context: click.Context,
    config: Path | None,
    site: str | None,
    person: str | None,
    visitor: str | None,
    vehicle: str | None,
    tag: str | None,
) -> None:
    """Erase one reference of SITE from everything received up to now, and print what became of it store by store.

    Inventory, findings, incidents, their evidence, dead letters and the archive are changed at once. The log and a
    box's spool cannot be changed: they age out, and the line says by when. What a legal hold covers stays, and the line
    names it; ask again when it has ended. May run beside `linli run`, which then forgets the reference too. Kept of it
    is a digest, which names nobody.

    A store that cannot be read is passed over; its line says so, and the exit code is 1. Erase again when it is mended.

    `linli erase verify` looks again everywhere, and fails when something is still there past its date.
    """
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    kinds = (ReferenceKind.PERSON, ReferenceKind.VISITOR, ReferenceKind.VEHICLE, ReferenceKind.TAG)
    named = [(kind, ref) for kind, ref in zip(kinds, (person, visitor, vehicle, tag), strict=True) if ref]
    if site is None or not is_id(site) or len(named) != 1:
        raise click.UsageError("give --site SITE and one of --person, --visitor, --vehicle, --tag; or `verify`")
    kind, ref = named[0]
    key = _key_of(settings := load_settings(config))
    need_site(settings, site)
    with open_stores(settings, wall_ms) as stores:
        answers = erase_everywhere(stores, Erasure(site, kind, key.digest_of(site, kind, ref), wall_ms()))
    for answer in answers:
        click.echo(_line(answer))
    if wrong := sum(answer.outcome is ErasureOutcome.STILL_THERE for answer in answers):
        raise Permanent(f"{wrong} stores still hold what was to be erased; mend what their lines say, and erase again")


def _key_of(settings: Settings) -> ReferenceKey:
    """Return the installation's key; raise ConfigurationError where there is none."""
    key = reference_key(settings)
    if not key.name:
        raise ConfigurationError(NO_KEY)
    return key


@command.command("verify")
@pass_settings
def verify_all(settings: Settings) -> None:
    """Look for everything ever erased in every store. Exit 1 when something is still there past its date."""
    wrong = 0
    with open_stores(settings, wall_ms) as stores:
        for erasure, answers in verify(stores):
            click.echo(f"{erasure.site_id} {erasure.kind} {erasure.digest}")
            for answer in answers:
                wrong += answer.outcome is ErasureOutcome.STILL_THERE
                click.echo(f"  {_line(answer)}")
    if wrong:
        raise Permanent(f"{wrong} stores still hold what was erased; `linli erase` again, or let `linli run` work")


def _line(answer: ErasureResult) -> str:
    by = ""
    if answer.due_ms is not None:
        moment = datetime.datetime.fromtimestamp(answer.due_ms / 1000, tz=datetime.UTC)
        by = f" by {moment:%Y-%m-%dT%H:%MZ}"
    return f"{answer.store}: {answer.outcome}{by}" + (f" ({answer.detail})" if answer.detail else "")
