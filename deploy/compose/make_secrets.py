"""Makes what servers and processes keep secret, once: an authority, certificates, passwords; and hands each its own.

``make_secrets.py FOLDER`` writes what there is into ``broker``, ``servers`` and ``linli`` below FOLDER, which nobody
else mounts, and what each service needs into ``for-SERVICE``. Each sub-folder is a volume of its own. What is there
already stays as it is; the copies follow it.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ingest.session.accounts import mosquitto_hash

DEVICES = ("simulator", "site-01/edge/box-street")
"""Accounts on the broker's listener for devices; a device's is named like its topics."""
PLATFORM = ("ingest",)
"""Accounts on its listener for the platform."""
SERVERS = ("postgres", "influx-password", "influx-token", "grafana", "kafka-password")
BROKER_NAMES = ("broker", "mosquitto")
CERTIFIED = ("kafka", "postgres", "influxdb")
"""Servers that show a certificate, by their names in the network."""
AUTHORITY = "linli authority"
YEARS = 10

_CA = {"ca.crt": "linli/ca.crt"}
_DATABASE = {"postgres": "linli/postgres"}
_INGEST = {"mqtt-ingest": "linli/mqtt-ingest"}
_KAFKA = {"kafka": "linli/kafka"}
_ERASURE = {"erasure": "linli/erasure"}
SHARES = {
    "broker": {name: f"broker/{name}" for name in ("broker.crt", "broker.key", "devices", "platform")},
    "kafka": {name: f"servers/{name}" for name in ("kafka.pem", "kafka-password")},
    "postgres": {name: f"servers/{name}" for name in ("postgres", "postgres.crt", "postgres.key")},
    "influxdb": {
        name: f"servers/{name}" for name in ("influx-password", "influx-token", "influxdb.crt", "influxdb.key")
    },
    "influx-tokens": _CA | {"influx-token": "servers/influx-token"},
    "grafana": _CA | {"grafana": "servers/grafana"},
    "machine": _CA | _INGEST,
    "doctor": _CA | _INGEST | _DATABASE | _KAFKA | _ERASURE,
    "set-up": _CA | _DATABASE | _KAFKA,
    "ingest": _CA | _INGEST | _DATABASE | _KAFKA,
    "streams": _CA | _KAFKA | _ERASURE,
    "incidents": _CA | _DATABASE | _KAFKA | _ERASURE,
    "console": _CA | _DATABASE | _KAFKA,
    "results": _CA | _DATABASE | _KAFKA,
    "archive": _CA | _DATABASE | _KAFKA | _ERASURE,
    "simulator": _CA | {"mqtt-simulator": "linli/mqtt-simulator"},
    "box": _CA | {"mqtt-box": "linli/mqtt-site-01-edge-box-street"},
}
"""What each service finds under which name, and where it comes from. Nobody gets more.

The tokens of results, doctor and Grafana are InfluxDB's to make: district/influx-tokens.sh puts them there.
"""


def make_secrets(folder: Path) -> None:
    """Write what is missing below ``folder``, and each service's share."""
    for name in ("broker", "servers", "linli"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _certificates(folder)
    _accounts(folder, "devices", DEVICES)
    _accounts(folder, "platform", PLATFORM)
    for name in SERVERS:
        _once(folder / "servers" / name, secrets.token_hex(16))
    _once(folder / "linli" / "postgres", (folder / "servers" / "postgres").read_text(encoding="utf-8"))
    kafka = (folder / "servers" / "kafka-password").read_text(encoding="utf-8")
    _once(folder / "linli" / "kafka", f"linli:{kafka}")
    _once(folder / "linli" / "erasure", secrets.token_hex(32))
    for service in SHARES:
        _share(folder, service)


def _share(folder: Path, service: str) -> None:
    own = folder / f"for-{service}"
    own.mkdir(exist_ok=True)
    for name, source in SHARES[service].items():
        text = (folder / source).read_text(encoding="utf-8")
        if not (own / name).exists() or (own / name).read_text(encoding="utf-8") != text:
            _write(own / name, text)


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
    """Write the authority and what it certifies. Where the authority's key was not kept, another one joins it."""
    servers, authorities = folder / "servers", folder / "linli" / "ca.crt"
    if not (servers / "authority.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        own = _pem(_certificate(AUTHORITY, key, key, ()))
        before = authorities.read_text(encoding="utf-8") if authorities.exists() else ""
        _write(authorities, before + own)
        _once(servers / "authority.key", _key(key))
    authority = serialization.load_pem_private_key((servers / "authority.key").read_bytes(), None)
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    _certify(folder / "broker", "broker", BROKER_NAMES, authority)
    for name in CERTIFIED:
        _certify(servers, name, (name,), authority)
    chain = (servers / "kafka.key", servers / "kafka.crt")
    _once(servers / "kafka.pem", "".join(file.read_text(encoding="utf-8") for file in chain))


def _certify(folder: Path, name: str, names: tuple[str, ...], authority: ec.EllipticCurvePrivateKey) -> None:
    """Write certificate and key of a server, in this order: the key says that both are there."""
    if not (folder / f"{name}.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder / f"{name}.crt", _pem(_certificate(name, key, authority, (*names, "localhost"))))
        _write(folder / f"{name}.key", _key(key))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]
) -> x509.Certificate:
    """Return a certificate; without ``names`` it is the authority's own."""
    now, ca = datetime.datetime.now(datetime.UTC), not names
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(AUTHORITY))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        alternatives: list[x509.GeneralName] = [x509.DNSName(n) for n in names]
        alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


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
