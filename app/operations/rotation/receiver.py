"""The secret of a receiver: ours to make where it signs, with both in use until the other side has it; else given."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from app.operations.rotation.exchange import SecretFile
from app.settings.receivers import webhook_receiver
from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from contracts.suggestions import did_you_mean
from delivery.receivers.kinds import KINDS
from delivery.receivers.tables import ReceiverSettings
from ingest.session.accounts import replace_as_before
from system.next_secret import next_of

_CERTIFICATES = ("ca_file", "cert_file")
_BYTES = 32


def receiver_named(settings: Settings, name: str) -> ReceiverSettings:
    """Return the receiver of this name.

    Raises:
        ConfigurationError: there is none; names the one that was probably meant.
    """
    webhook = [webhook_receiver(settings.webhook)] if settings.webhook.url else []
    known = {one.name: one for one in [*settings.receiver, *webhook]}
    if name not in known:
        instead = did_you_mean(name, known) if known else "the settings name none"
        raise ConfigurationError(f"there is no receiver {name[:60]!r}: {instead}")
    return known[name]


def secret_of(receiver: ReceiverSettings) -> SecretFile:
    """Return the file of its secret, which can be read.

    Raises:
        ConfigurationError: it has none, or several, or it cannot be read.
    """
    own = msgspec.structs.asdict(receiver.own)
    signs_with = KINDS[receiver.kind].signs_with
    fields = [signs_with] if signs_with else [f for f in own if f.endswith("_file") and f not in _CERTIFICATES]
    paths = [(field, own[field]) for field in fields if isinstance(own[field], Path)]
    if len(paths) != 1:
        found = ", ".join(field for field, _path in paths) or "none"
        raise ConfigurationError(f"receiver {receiver.name}: expected one secret to exchange, found {found}")
    ((field, path),) = paths
    file = SecretFile(path, f"receiver {receiver.name}: {field}")
    file.present()
    return file


def begin(receiver: ReceiverSettings) -> Path:
    """Make the secret that is to follow, and return its file: from now on both sign. One that waits already stays.

    Raises:
        ConfigurationError: the other side gives the secret of this kind, or a file cannot be used.
    """
    file = secret_of(receiver)
    if not KINDS[receiver.kind].signs_with:
        raise ConfigurationError(
            f"receiver {receiver.name}: the other side gives the secret of a {receiver.kind}; take it with --from FILE"
        )
    if file.waiting() is None:
        file.write_next(Secret(secrets.token_hex(_BYTES)))
    return next_of(file.path)


def finish(receiver: ReceiverSettings) -> Path:
    """Let the secret that waits follow, and return its file: from now on it signs alone.

    Raises:
        ConfigurationError: none waits, or it cannot be used.
    """
    file = secret_of(receiver)
    new = file.waiting()
    if new is None:
        raise ConfigurationError(f"receiver {receiver.name}: no {next_of(file.path)} waits; begin without --finish")
    _try(receiver, new)
    file.take_next()
    return file.path


def take(receiver: ReceiverSettings, given: Path) -> Path:
    """Put the secret that the other side gave in the place of the old one, and return its file.

    Raises:
        ConfigurationError: it cannot be read, is empty or cannot be used, or another one waits to follow.
    """
    file = secret_of(receiver)
    new = read_secret(given, "--from")
    if not new:
        raise ConfigurationError(f"{given} is empty: expected the new secret of receiver {receiver.name}")
    if file.waiting() is not None:
        raise ConfigurationError(f"{next_of(file.path)} waits to follow: --finish that first, or delete it")
    _try(receiver, new)
    replace_as_before(file.path, f"{new.reveal()}\n", file.path.stat())
    return file.path


def _try(receiver: ReceiverSettings, secret: Secret) -> None:
    """Raise ConfigurationError unless the receiver can be opened with this secret. Nothing is sent."""
    KINDS[receiver.kind].open(receiver.name, receiver.own, lambda _path, _key: secret)
