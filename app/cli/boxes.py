"""``linli boxes``: the credentials of boxes, on the side of the platform."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.known_sites import need_site
from app.wiring.stores import boxes_file
from contracts.errors import ConfigurationError


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
    from edge.token import make_token, register

    if token_out is None and accounts is None:
        raise ConfigurationError(
            "nothing to rotate: give --token-out FILE, or --accounts FILE with --password-out FILE"
        )
    if (accounts is None) != (password_out is None):
        raise ConfigurationError("--accounts and --password-out are given together")
    need_site(settings, site)
    if password_out is not None and password_out.exists():
        raise ConfigurationError(f"{password_out} exists; a password is never overwritten: move it away first")
    if token_out is not None:
        registered = register(make_token(box, site, token_out), boxes_file(settings).parent)
        click.echo(f"registered in {registered}; the old token does nothing any more", err=True)
    if accounts is not None and password_out is not None:
        _password(accounts, password_out, f"{site}/edge/{box}")


def _password(accounts: Path, out: Path, account: str) -> None:
    from ingest.session.accounts import renew_password
    from system.private_files import make_file

    password = renew_password(accounts, account)
    make_file(out)
    out.write_text(f"{account}:{password.reveal()}\n", encoding="utf-8")
    click.echo(f"{out} has the new password of {account}; now have the broker reload {accounts}", err=True)
