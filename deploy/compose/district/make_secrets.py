"""Makes what the district's servers and processes keep secret, once: an authority, a broker's certificate, passwords.

``make_secrets.py FOLDER`` writes one sub-folder for each who may read it: ``broker``, ``servers``, ``linli``. What is
there already stays as it is. Each sub-folder is a volume of its own, mounted only where it is needed.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ACCOUNTS = ("ingest", "simulator", "site-01/edge/box-street")
"""Accounts of the broker; a device's is named like its topics."""
SERVERS = ("postgres", "influx-password", "influx-token", "grafana")
BROKER_NAMES = ("broker", "localhost")
YEARS = 10
ITERATIONS = 101  # mosquitto_passwd's own number


def make_secrets(folder: Path) -> None:
    """Write what is missing below ``folder``."""
    for name in ("broker", "servers", "linli"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "linli" / "ca.crt").exists():
        _certificates(folder)
    if not (folder / "broker" / "accounts").exists():
        _accounts(folder)
    for name in SERVERS:
        _once(folder / "servers" / name, secrets.token_hex(16))
    _once(folder / "linli" / "erasure", secrets.token_hex(32))
    for name in ("postgres", "influx-token"):
        _once(folder / "linli" / name, (folder / "servers" / name).read_text(encoding="utf-8"))


def mosquitto_hash(password: str, salt: bytes) -> str:
    """Return the password as ``mosquitto_passwd`` writes it: PBKDF2 with SHA-512."""
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def _accounts(folder: Path) -> None:
    lines = []
    for account in ACCOUNTS:
        password = secrets.token_hex(16)
        lines.append(f"{account}:{mosquitto_hash(password, secrets.token_bytes(12))}\n")
        _once(folder / "linli" / f"mqtt-{account.replace('/', '-')}", f"{account}:{password}\n")
    _once(folder / "broker" / "accounts", "".join(lines))


def _certificates(folder: Path) -> None:
    authority_key, broker_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("linli authority", authority_key, "linli authority", authority_key, ca=True)
    broker = _certificate("broker", broker_key, "linli authority", authority_key, ca=False)
    plain = serialization.NoEncryption()
    key = broker_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    _once(folder / "broker" / "broker.key", key.decode())
    _once(folder / "broker" / "broker.crt", _pem(broker))
    _once(folder / "linli" / "ca.crt", _pem(authority))  # last: it says that all of them are there


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in BROKER_NAMES]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _once(file: Path, text: str) -> None:
    """Write it once, readable by whichever account its server runs under; who may mount it is the Compose file's."""
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.chmod(0o444)
        part.rename(file)


if __name__ == "__main__":
    make_secrets(Path(sys.argv[1]))
