"""``linli secrets``: new secrets of the platform itself in place of old ones."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from contracts.errors import ConfigurationError

PAIR = ("ingest", "ingest-b")
"""Accounts of ingest that take turns; both are in deploy/mosquitto/platform.acl."""


@click.group("secrets")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Exchange the secrets that settings name."""
    context.obj = config


@command.command("rotate")
@click.argument("name", type=click.Choice(["mqtt"]))
@click.option(
    "--accounts",
    required=True,
    type=click.Path(path_type=Path),
    help="the broker's password file of the platform's listener",
)
@click.option("--finish", is_flag=True, help="ingest runs with the new one: take the old account out")
@pass_settings
def rotate(settings: Settings, name: str, accounts: Path, *, finish: bool) -> None:
    """Give ingest a new account at the broker, with a new password, in mqtt.password_file and in the broker's accounts.

    The old one stays until --finish, or what waits at the broker for ingest would be lost: have the broker reload,
    restart ingest, run this again with --finish, and have the broker reload once more.
    """
    from ingest.session.accounts import add_account, remove_account, replace_as_before

    path = settings.mqtt.password_file
    account = read_secret(path, "mqtt.password_file").reveal().partition(":")[0]
    if path is None or account not in PAIR:
        raise ConfigurationError(f"mqtt.password_file holds no account of the platform's: expected {' or '.join(PAIR)}")
    other = PAIR[1 - PAIR.index(account)]
    if finish:
        gone = remove_account(accounts, other)
        click.echo(f"{name}: {other} {'is taken out' if gone else 'was not there'}; have the broker reload", err=True)
        return
    before = path.stat()
    password = add_account(accounts, other)
    replace_as_before(path, f"{other}:{password.reveal()}\n", before)
    click.echo(f"{name}: {other} is there; have the broker reload, restart ingest, then --finish", err=True)
