"""``linli secrets``: new secrets of the platform itself in place of old ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.command_line import pass_settings
from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from contracts.errors import ConfigurationError

if TYPE_CHECKING:
    from app.operations.rotation.exchange import Account, SecretFile

PAIR = ("ingest", "ingest-b")
"""Accounts of ingest that take turns; both are in deploy/mosquitto/platform.acl."""
PREPARE = click.option(
    "--prepare", is_flag=True, help="only make the new password, and write it beside the present one"
)


@click.group("secrets")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Exchange the secrets that settings name."""
    context.obj = config


@command.group("rotate")
def rotate() -> None:
    """Exchange one secret. What was interrupted is finished by the same command, given again."""


@rotate.command("mqtt")
@click.option(
    "--accounts",
    required=True,
    type=click.Path(path_type=Path),
    help="the broker's password file of the platform's listener",
)
@click.option("--finish", is_flag=True, help="ingest runs with the new one: take the old account out")
@pass_settings
def mqtt(settings: Settings, accounts: Path, *, finish: bool) -> None:
    """Give ingest a new account at the broker, with a new password, in mqtt.password_file and in the broker's accounts.

    The old one stays until --finish, or what waits at the broker for ingest would be lost: have the broker reload,
    restart ingest, run this again with --finish, and have the broker reload once more.
    """
    from app.operations.rotation.exchange import SecretFile, new_password
    from ingest.session.accounts import add_account, has_account, remove_account

    path = settings.mqtt.password_file
    account = read_secret(path, "mqtt.password_file").reveal().partition(":")[0]
    if path is None or account not in PAIR:
        raise ConfigurationError(f"mqtt.password_file holds no account of the platform's: expected {' or '.join(PAIR)}")
    other = PAIR[1 - PAIR.index(account)]
    if finish:
        gone = remove_account(accounts, other)
        click.echo(f"mqtt: {other} {'is taken out' if gone else 'was not there'}; have the broker reload", err=True)
        return
    file = SecretFile(path, "mqtt.password_file", f"{other}:")
    waiting = file.waiting()  # of a run that was cut off: the broker may know it by now
    if waiting is None and has_account(accounts, other):
        raise ConfigurationError(
            f"{accounts} still has {other}, the account before {account}: restart ingest, so that it runs as "
            f"{account}, and give --finish first"
        )
    password = waiting or new_password()
    file.write_next(password)
    add_account(accounts, other, password)
    file.take_next()
    click.echo(f"mqtt: {other} is there; have the broker reload, restart ingest, then --finish", err=True)


@rotate.command("postgresql")
@PREPARE
@pass_settings
def postgresql(settings: Settings, *, prepare: bool) -> None:
    """Give our account at PostgreSQL a new password, there and in incidents.password_file (and the inventory's).

    No process is started again: each finds the new password when it connects next. Where other machines have a copy of
    the file, run it with --prepare, copy FILE.next to them beside theirs, run it again without, and put FILE.next in
    the place of FILE there. Units of systemd have a copy of the file, too: restart linli.target.
    """
    from app.operations.rotation.postgresql import postgres_accounts

    for account, files in postgres_accounts(settings):
        _exchange(account, files, only_prepare=prepare)


def _exchange(account: Account, files: Sequence[SecretFile], *, only_prepare: bool) -> None:
    """Do it, or its first step, and say which files have what now."""
    from app.operations.rotation.exchange import exchange, prepare
    from system.next_secret import next_of

    if only_prepare:
        prepare(account, files)
        waiting = ", ".join(str(next_of(file.path)) for file in files)
        click.echo(f"{account.where}: the new password waits in {waiting}; run it without --prepare next", err=True)
        return
    exchange(account, files)
    named = ", ".join(str(file.path) for file in files)
    click.echo(f"{account.where} takes the new password in {named}, and the old one no longer", err=True)


@rotate.command("kafka")
@click.option(
    "--admin-file",
    type=click.Path(path_type=Path),
    help="file with user:password of an account that may change others, where ours may not change itself",
)
@PREPARE
@pass_settings
def kafka(settings: Settings, admin_file: Path | None, *, prepare: bool) -> None:
    """Give our SCRAM account at Kafka a new password, there and in kafka.password_file.

    What is connected stays so, and whoever connects anew reads the file again. Other machines, and units of systemd,
    have a copy of the file: bring it there and restart linli.target; until then a process waits when it is refused.
    """
    from app.operations.rotation.kafka import kafka_account

    account, files = kafka_account(settings, admin_file)
    _exchange(account, files, only_prepare=prepare)


@rotate.command("influxdb")
@click.option(
    "--admin-file",
    type=click.Path(path_type=Path),
    help="InfluxDB 1: file with user:password of an administrator, where our account is none",
)
@click.option("--prepare", is_flag=True, help="InfluxDB 1: only make the new password, and write it beside the present")
@click.option(
    "--operator-token-file",
    type=click.Path(path_type=Path),
    help="InfluxDB 2: file with a token that may make and delete tokens",
)
@pass_settings
def influxdb(settings: Settings, admin_file: Path | None, operator_token_file: Path | None, *, prepare: bool) -> None:
    """Give our account at an InfluxDB 1 a new password, or make another token with the same rights at an InfluxDB 2.

    No process is started again: each takes what is new with the next results it writes.
    """
    from app.operations.rotation.influxdb import exchange_token, influx_account

    if operator_token_file is None:
        account, files = influx_account(settings, admin_file)
        _exchange(account, files, only_prepare=prepare)
        return
    if admin_file is not None or prepare:
        raise ConfigurationError(
            "--admin-file and --prepare are for InfluxDB 1, --operator-token-file is for InfluxDB 2"
        )
    path = exchange_token(settings, operator_token_file)
    click.echo(f"{path} has the new token, and the old one is deleted", err=True)


@rotate.command("receiver")
@click.argument("name")
@click.option("--from", "given", type=click.Path(path_type=Path), help="file with the secret that the other side gave")
@click.option("--finish", is_flag=True, help="the receiver knows the new one: the old one signs nothing any more")
@pass_settings
def receiver(settings: Settings, name: str, given: Path | None, *, finish: bool) -> None:
    """Exchange the secret of the receiver NAME; that of [webhook] is named webhook. No process is started again.

    Where the secret signs, a new one is written beside the old one, and everything is signed with both. Bring it to the
    receiver, then run this again with --finish. A secret that the other side gives is taken with --from, at once.
    """
    from app.operations.rotation import receiver as exchanging

    found = exchanging.receiver_named(settings, name)
    if given is not None and finish:
        raise ConfigurationError("--from takes a secret at once: there is nothing to --finish")
    if given is not None:
        click.echo(f"{name}: {exchanging.take(found, given)} has the new secret, the old one is gone", err=True)
    elif finish:
        click.echo(f"{name}: {exchanging.finish(found)} has the new secret, which signs alone from now on", err=True)
    else:
        waiting = exchanging.begin(found)
        click.echo(f"{name}: {waiting} signs too; bring it to the receiver, then --finish", err=True)
