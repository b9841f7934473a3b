"""Certificates for a peer on loopback: one that holds, and those that must not be believed."""

from __future__ import annotations

import datetime
import enum
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "localhost"
_DAY = datetime.timedelta(days=1)


class Shown(enum.StrEnum):
    """Which certificate a peer shows."""

    GOOD = "good"
    SELF_SIGNED = "self_signed"
    OTHER_HOST = "other_host"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class Certificates:
    """An authority of its own, and what it issued; written into ``folder`` since TLS reads files.

    Attributes:
        ca_file: the authority's certificate, that receivers are told to believe.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("conformance authority")
        self.ca_file = folder / "authority.pem"
        self.ca_file.write_bytes(self._authority().public_bytes(Encoding.PEM))

    def server_side(self, shown: Shown) -> ssl.SSLContext:
        """Return the server side of TLS that shows such a certificate."""
        file = self._folder / f"{shown}.pem"
        if not file.exists():
            file.write_bytes(self._issued(shown))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _authority(self) -> x509.Certificate:
        unsigned = _certificate(self._name, self._name, self._key.public_key(), -1, 2)
        return unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
            self._key, hashes.SHA256()
        )

    def _issued(self, shown: Shown) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        host = "elsewhere.example" if shown is Shown.OTHER_HOST else HOST
        own = shown is Shown.SELF_SIGNED
        first_day = {Shown.EXPIRED: -3, Shown.NOT_YET_VALID: 2}.get(shown, -1)
        issuer = _name(host) if own else self._name
        unsigned = _certificate(_name(host), issuer, key.public_key(), first_day, 2)
        unsigned = unsigned.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        signed = unsigned.sign(key if own else self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + signed.public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, first_day: int, days: int
) -> x509.CertificateBuilder:
    begins = datetime.datetime.now(datetime.UTC) + first_day * _DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + days * _DAY)
    )
