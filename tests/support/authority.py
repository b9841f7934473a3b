"""An authority of the tests' own and what it certifies: servers and clients on loopback, in their time or out of it."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from system.tls import TlsFiles

GOOD, EXPIRED, FUTURE = (-1, 2), (-3, -1), (1, 3)
"""From and to, in days from now."""


class Authority:
    """``ca_file`` is its certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._made(self._name, self._key, GOOD, [], ca=True).public_bytes(Encoding.PEM))

    def issue(self, name: str, days: tuple[int, int] = GOOD, hosts: tuple[str, ...] = ("127.0.0.1",)) -> TlsFiles:
        """Return certificate and key of ``name``, and this authority's own certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts
        ]
        certificate = self._made(_named(name), key, days, alternatives, ca=False)
        cert_file, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return TlsFiles(table="test", ca_file=self.ca_file, cert_file=cert_file, key_file=key_file)

    def chain(self, name: str, days: tuple[int, int] = GOOD) -> Path:
        """Return key and certificate of ``name`` in one file."""
        files = self.issue(name, days)
        assert files.key_file is not None and files.cert_file is not None
        file = self._folder / f"{name}.pem"
        file.write_bytes(files.key_file.read_bytes() + files.cert_file.read_bytes())
        return file

    def _made(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        days: tuple[int, int],
        alternatives: list[x509.GeneralName],
        *,
        ca: bool,
    ) -> x509.Certificate:
        first, last = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=day) for day in days)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(first).not_valid_after(last)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
