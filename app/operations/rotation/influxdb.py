"""The account at an InfluxDB 1.x that the settings name, with the file that holds its password."""

from __future__ import annotations

from pathlib import Path

from app.operations.rotation.exchange import SecretFile
from app.settings.secret_files import read_pair
from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from streams.results.influx import InfluxCredentials
from streams.results.influx_account import InfluxAccount
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
            f"results.url has version={address.version}: there a token proves us, and results.password_file is not used"
        )
    user, _password = read_pair(results.password_file, "results.password_file")
    administrator = None if admin_file is None else InfluxCredentials(_NONE, *read_pair(admin_file, "--admin-file"))
    files = TlsFiles(table="results", ca_file=results.ca_file)
    file = SecretFile(results.password_file, "results.password_file", f"{user}:")
    return InfluxAccount(address, user, files, administrator), [file]
