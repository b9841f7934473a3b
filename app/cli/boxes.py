"""``linli boxes``: the credentials of boxes, on the side of the platform."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.known_sites import need_box, need_site
from app.wiring.stores import boxes_file
from contracts.errors import ConfigurationError
from contracts.secrets import Secret

if TYPE_CHECKING:
    from edge.token import BoxRegistration


@click.group("boxes")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Exchange what a box proves itself with. What it has spooled waits until it has the new ones."""
    context.obj = config


@command.command("rotate")
@click.argument("site")
@click.argument("box")
@click.option("--token-out", type=click.Path(path_type=Path), help="file to write a new upload token to")
@click.option("--accounts", type=click.Path(path_type=Path), help="the broker's password file of its devices' listener")
@click.option("--password-out", type=click.Path(path_type=Path), help="file to write the broker's user:password to")
@pass_settings
def rotate(
    settings: Settings, site: str, box: str, token_out: Path | None, accounts: Path | None, password_out: Path | None
) -> None:
    """Make a new token, a new password at the broker, or both. The old token stops at once.

    The old password stops when the broker is told to reload (systemctl reload mosquitto). Bring the files to the box,
    in place of its [console] token_file and [mqtt] password_file: it reads them again by itself.
    """
    if token_out is None and accounts is None:
        raise ConfigurationError(
            "nothing to rotate: give --token-out FILE, or --accounts FILE with --password-out FILE"
        )
    if (accounts is None) != (password_out is None):
        raise ConfigurationError("--accounts and --password-out are given together")
    need_box(settings, need_site(settings, site), box)
    if password_out is not None and os.path.lexists(password_out):
        raise ConfigurationError(f"{password_out} exists; a password is never overwritten: move it away first")
    with ExitStack() as made:  # what is made for nothing is taken away again
        registration = None if token_out is None else _token(made, site, box, token_out)
        if accounts is not None and password_out is not None:
            _password(accounts, password_out, f"{site}/edge/{box}")
        made.pop_all()
    if registration is not None:
        _register(settings, registration)


@command.command("revoke")
@click.argument("site")
@click.argument("box")
@pass_settings
def revoke(settings: Settings, site: str, box: str) -> None:
    """End a box's upload token, and give it no other: for a box that was stolen, or is no more.

    Its account at the broker is taken out with `mosquitto_passwd -D FILE SITE/edge/BOX`, and a reload of the broker.
    """
    import secrets

    from edge.token import BoxRegistration

    known = _registered(settings, site)
    if box not in known:
        need_site(settings, site)  # one that is no more is none of its business, while there is a token
        raise ConfigurationError(f"no box {box!r} of {site} has a token; {_those(known)}")
    _register(settings, BoxRegistration(box, site, secrets.token_hex(32)))  # the digest of a token that nobody has


def _token(made: ExitStack, site: str, box: str, out: Path) -> BoxRegistration:
    """Write a token that nobody knows yet; unless the rest succeeds too it goes away again."""
    from edge.token import make_token

    registration = make_token(box, site, out)
    made.callback(partial(out.unlink, missing_ok=True))
    return registration


def _register(settings: Settings, registration: BoxRegistration) -> None:
    from edge.token import register

    before = registration.box_id in _registered(settings, registration.site_id)
    path = register(registration, boxes_file(settings).parent)
    click.echo(f"registered in {path}" + ("; the old token does nothing any more" if before else ""), err=True)


def _registered(settings: Settings, site: str) -> list[str]:
    from identity.box_credentials import read_boxes

    return sorted(box.box_id for box in read_boxes(boxes_file(settings)) if box.site_id == site)


def _those(known: list[str]) -> str:
    return f"those that have one: {', '.join(known[:20])}" if known else "none has one"


def _password(accounts: Path, out: Path, account: str) -> None:
    """Write the new password before the broker's accounts have it: it is never there without being known."""
    from ingest.session.accounts import renew_password
    from system.private_files import make_whole

    def keep(password: Secret) -> None:
        try:
            make_whole(out, f"{account}:{password.reveal()}\n".encode())
        except OSError as error:
            raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from None

    try:
        renew_password(accounts, account, keep)
    except ConfigurationError:
        out.unlink(missing_ok=True)
        raise
    click.echo(f"{out} has the new password of {account}; now have the broker reload {accounts}", err=True)
