"""``linli users``: who may use the console, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.settings.loading import load_settings
from app.wiring.console import first_password_file
from app.wiring.known_sites import need_site
from app.wiring.stores import open_incidents
from contracts.errors import ConfigurationError
from identity.passwords import random_password
from identity.roles import EVERY_SITE, Role
from identity.users import Users

_ACTOR = "command line"


@click.group("users")
@click.option("--config", type=click.Path(path_type=Path), default=None, help="Settings file (default linli.toml).")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Add people to the console and set their roles.

    A role is given as ROLE@SITE or ROLE@* for every site. viewer reads the list; operator also sees pictures and
    marks alerts; supervisor also promotes them to cases; admin is all of these.
    """
    context.obj = config


@command.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, metavar="ROLE@SITE", help="May be given several times.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.pass_obj
def add(config: Path | None, name: str, roles: tuple[str, ...], *, password_stdin: bool) -> None:
    """Add a person. Without --password-stdin a random password is made and printed once."""
    grants = dict(parse_role(text) for text in roles)
    for site_id in grants.keys() - {EVERY_SITE}:
        need_site(load_settings(config), site_id)
    password = _read_password() if password_stdin else random_password()
    with _users(config) as users:
        users.add(name, password, grants, actor=_ACTOR)
    _tell_password(name, password, made=not password_stdin)


@command.command("list")
@click.pass_obj
def list_(config: Path | None) -> None:
    """Print everybody with their roles, one a line."""
    with _users(config) as users:
        for person in users.people():
            roles = " ".join(f"{role}@{site_id}" for site_id, role in sorted(person.grants.items()))
            click.echo(f"{person.name}\t{roles}")


@command.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.pass_obj
def password(config: Path | None, name: str, *, password_stdin: bool) -> None:
    """Give a person a new password and end their sessions."""
    new = _read_password() if password_stdin else random_password()
    with _users(config) as users:
        users.set_password(name, new, actor=_ACTOR)
    if name == "admin":
        first_password_file(load_settings(config)).unlink(missing_ok=True)
    _tell_password(name, new, made=not password_stdin)


@command.command()
@click.argument("name")
@click.pass_obj
def remove(config: Path | None, name: str) -> None:
    """Remove a person and end their sessions. What they did keeps their name."""
    with _users(config) as users:
        users.remove(name, actor=_ACTOR)
    click.echo(f"removed {name}", err=True)


def parse_role(text: str) -> tuple[str, Role]:
    """Return ``operator@s1`` as (site, role).

    Raises:
        ConfigurationError: naming the roles there are.
    """
    name, _, site_id = text.partition("@")
    if name not in set(Role) or not site_id:
        known = ", ".join(Role)
        raise ConfigurationError(f"role {text[:60]!r}: expected ROLE@SITE or ROLE@{EVERY_SITE}, ROLE one of {known}")
    return site_id, Role(name)


@contextmanager
def _users(config: Path | None) -> Iterator[Users]:
    store = open_incidents(load_settings(config))
    try:
        yield Users(store)
    finally:
        store.close()


def _read_password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\n")


def _tell_password(name: str, password_: str, *, made: bool) -> None:
    if made:
        click.echo(f"password of {name}, shown only now:", err=True)
        click.echo(password_)
