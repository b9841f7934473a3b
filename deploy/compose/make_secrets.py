"""Makes what servers and processes keep secret, once: an authority, certificates, passwords; and hands each its own.

``make_secrets.py FOLDER`` writes what there is into ``broker``, ``servers`` and ``linli`` below FOLDER, which nobody
else mounts, and what each service needs into ``for-SERVICE``. Each sub-folder is a volume of its own. What is there
already stays as it is; the copies follow it.
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

DEVICES = ("simulator", "site-01/edge/box-street")
"""Accounts on the broker's listener for devices; a device's is named like its topics."""
PLATFORM = ("ingest",)
"""Accounts on its listener for the platform."""
SERVERS = ("postgres", "influx-password", "influx-token", "grafana")
BROKER_NAMES = ("broker", "mosquitto", "localhost")
YEARS = 10
ITERATIONS = 101  # mosquitto_passwd's own number

_CA = {"ca.crt": "linli/ca.crt"}
_DATABASE = {"postgres": "linli/postgres"}
_INGEST = {"mqtt-ingest": "linli/mqtt-ingest"}
_RESULTS = {"influx-token": "linli/influx-token"}
SHARES = {
    "broker": {name: f"broker/{name}" for name in ("broker.crt", "broker.key", "devices", "platform")},
    "postgres": {"postgres": "servers/postgres"},
    "influxdb": {name: f"servers/{name}" for name in ("influx-password", "influx-token")},
    "grafana": {name: f"servers/{name}" for name in ("grafana", "influx-token")},
    "machine": _CA | _INGEST,
    "doctor": _CA | _INGEST | _DATABASE | _RESULTS,
    "set-up": _CA | _DATABASE,
    "ingest": _CA | _INGEST | _DATABASE,
    "streams": _CA,
    "incidents": _CA | _DATABASE,
    "console": _CA | _DATABASE,
    "results": _CA | _DATABASE | _RESULTS,
    "archive": _CA | _DATABASE,
    "simulator": _CA | {"mqtt-simulator": "linli/mqtt-simulator"},
    "box": _CA | {"mqtt-box": "linli/mqtt-site-01-edge-box-street"},
}
"""What each service finds under which name, and where it comes from. Nobody gets more."""


def make_secrets(folder: Path) -> None:
    """Write what is missing below ``folder``, and each service's share."""
    for name in ("broker", "servers", "linli"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "linli" / "ca.crt").exists():
        _certificates(folder)
    _accounts(folder, "devices", DEVICES)
    _accounts(folder, "platform", PLATFORM)
    for name in SERVERS:
        _once(folder / "servers" / name, secrets.token_hex(16))
    for name in ("postgres", "influx-token"):
        _once(folder / "linli" / name, (folder / "servers" / name).read_text(encoding="utf-8"))
    for service in SHARES:
        _share(folder, service)


def _share(folder: Path, service: str) -> None:
    own = folder / f"for-{service}"
    own.mkdir(exist_ok=True)
    for name, source in SHARES[service].items():
        text = (folder / source).read_text(encoding="utf-8")
        if not (own / name).exists() or (own / name).read_text(encoding="utf-8") != text:
            _write(own / name, text)


def mosquitto_hash(password: str, salt: bytes) -> str:
    """Return the password as ``mosquitto_passwd`` writes it: PBKDF2 with SHA-512."""
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def _accounts(folder: Path, listener: str, names: tuple[str, ...]) -> None:
    """Write the accounts of a listener, each with the password that its owner has."""
    lines = []
    for account in names:
        file = folder / "linli" / f"mqtt-{account.replace('/', '-')}"
        _once(file, f"{account}:{secrets.token_hex(16)}\n")
        password = file.read_text(encoding="utf-8").strip().removeprefix(f"{account}:")
        lines.append(f"{account}:{mosquitto_hash(password, secrets.token_bytes(12))}\n")
    _once(folder / "broker" / listener, "".join(lines))


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
    """Write it unless it is there."""
    if not file.exists():
        _write(file, text)


def _write(file: Path, text: str) -> None:
    """Write it, readable by whichever account its service runs under; who may mount it is the Compose file's."""
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o444)
    part.rename(file)


if __name__ == "__main__":
    make_secrets(Path(sys.argv[1]))
