"""TLS by files: what either side shows and trusts, and one sentence about each file that cannot be used."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import msgspec

from system.certificates import said_of

ASK_S = 5.0


class TlsFileError(ValueError):
    """A file cannot be used; the text names its setting and says what was expected."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM. ``ca_file``: the authorities to trust (None: the system's). The other two: what we show of us.

    ``table`` is that of the settings, as messages name it: ``kafka`` for ``kafka.ca_file``; ``[mqtt] `` with its space.
    """

    table: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def setting(self, field: str) -> str:
        """Return a setting as people write it."""
        return f"{self.table}{field}" if self.table.endswith(" ") else f"{self.table}.{field}"


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what a client speaks TLS with: the other side's authority, names and times are checked.

    Raises:
        TlsFileError: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except OSError as error:
        raise _unusable(files, "ca_file", error, "expected certificates of authorities in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert_file is not None:
        _load_pair(context, files)
    return context


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what a server shows itself with.

    Raises:
        TlsFileError: a file cannot be used, or the two do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, files)
    return context


def trouble_with(host: str, port: int, files: TlsFiles, before: bytes = b"", answer: bytes = b"") -> str:
    """Return what is wrong with the TLS of a server, asked with a handshake; empty when nothing is, or it is away.

    Clients' own errors often lack the reason.

    Args:
        host: name or address, as in the settings.
        port: of the server.
        files: what we trust and show.
        before: what the server wants to hear before the handshake.
        answer: what it then says.
    """
    try:
        context = client_context(files)
        with socket.create_connection((host, port), timeout=ASK_S) as plain:
            plain.sendall(before)
            if answer and plain.recv(len(answer)) != answer:
                return "the other side does not speak TLS at this port: turn it on there"
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.settimeout(0.2)  # of TLS 1.3 a refusal of our certificate comes behind the handshake
                secured.recv(1)
    except TlsFileError as error:
        return str(error)
    except OSError as error:
        return said_of(error, files.setting("ca_file"))
    return ""


def _load_pair(context: ssl.SSLContext, files: TlsFiles) -> None:
    certificate, key = _text(files, "cert_file"), _text(files, "key_file")
    if "-----BEGIN CERTIFICATE-----" not in certificate:
        raise _unusable(files, "cert_file", None, "expected a certificate in PEM, its authority's behind it")
    if "PRIVATE KEY-----" not in key:
        raise _unusable(files, "key_file", None, "expected a private key in PEM")
    if "ENCRYPTED" in key:
        raise _unusable(files, "key_file", None, "it is encrypted; expected a key without a password, mode 600")
    assert files.cert_file is not None
    try:
        context.load_cert_chain(files.cert_file, files.key_file)
    except OSError as error:
        if "MISMATCH" in (getattr(error, "reason", "") or ""):
            pair = f"{files.setting('key_file')} = {str(files.key_file)!r} is not the key of the certificate in"
            raise TlsFileError(
                f"{pair} {files.setting('cert_file')} = {str(files.cert_file)!r}: name two files that belong together"
            ) from None
        raise _unusable(files, "cert_file", error, "expected a certificate and its key in PEM") from None


def _text(files: TlsFiles, field: str) -> str:
    path: Path | None = getattr(files, field)
    if path is None:
        raise TlsFileError(f"{files.setting(field)} is empty: a certificate and its key are named together")
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise _unusable(files, field, error, "expected a file in PEM") from None


def _unusable(files: TlsFiles, field: str, error: OSError | None, expected: str) -> TlsFileError:
    why = "" if error is None else f" ({type(error).__name__})"
    return TlsFileError(f"{files.setting(field)} = {str(getattr(files, field))!r} cannot be used{why}: {expected}")
