"""What proves us to the InfluxDB of the settings: the password of an account (1.x), or a token (2.x)."""

from __future__ import annotations

from pathlib import Path

from app.operations.rotation.exchange import SecretFile
from app.settings.secret_files import read_pair, read_secret
from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from streams.results.influx import InfluxCredentials
from streams.results.influx_account import InfluxAccount
from streams.results.influx_tokens import InfluxTokens
from streams.results.influx_url import parse_influx
from system.tls import TlsFiles

_NONE = Secret("")


def influx_account(settings: Settings, admin_file: Path | None) -> tuple[InfluxAccount, list[SecretFile]]:
    """Return the account.

    Args:
        settings: with ``results.password_file``.
        admin_file: ``user:password`` of who may change it; None: the account itself.

    Raises:
        ConfigurationError: the results are in no InfluxDB 1.x with a password of ours, or a file cannot be read.
    """
    results = settings.results
    if not results.url.startswith("influx:") or results.password_file is None:
        raise ConfigurationError("results.password_file is empty: no password of InfluxDB is ours to exchange")
    address = parse_influx(results.url)
    if address.version != 1:
        raise ConfigurationError(
            f"results.url has version={address.version}: there a token proves us; name one that may exchange it in "
            "--operator-token-file"
        )
    user, _password = read_pair(results.password_file, "results.password_file")
    administrator = None if admin_file is None else InfluxCredentials(_NONE, *read_pair(admin_file, "--admin-file"))
    files = TlsFiles(table="results", ca_file=results.ca_file)
    file = SecretFile(results.password_file, "results.password_file", f"{user}:")
    return InfluxAccount(address, user, files, administrator), [file]


def exchange_token(settings: Settings, operator_file: Path) -> Path:
    """Exchange the token of an InfluxDB 2; return the file that has the new one. Go on where an earlier run ended.

    The new token is made first and written beside the file, then the old one is deleted, then the new file takes its
    place. A token that was made and not written down is found again by its description.

    Raises:
        ConfigurationError: the results are in no InfluxDB 2 with a token of ours, a file cannot be used, or the
            operator's token may not do it.
        Permanent: the server refuses. Transient: it does not answer; run it again.
    """
    results = settings.results
    address = parse_influx(results.url) if results.url.startswith("influx:") else None
    if address is None or address.version != 2 or results.token_file is None:
        raise ConfigurationError("--operator-token-file is for an InfluxDB 2 in results.url, with results.token_file")
    file = SecretFile(results.token_file, "results.token_file")
    tokens = InfluxTokens(
        address, TlsFiles(table="results", ca_file=results.ca_file), read_secret(operator_file, "--operator-token-file")
    )
    try:
        new = file.waiting() or tokens.successor(file.present())
        file.write_next(new)
        tokens.end_predecessor(new)
    finally:
        tokens.close()
    file.take_next()
    return file.path
