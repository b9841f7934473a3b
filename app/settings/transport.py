"""Whether the settings about TLS and accounts agree with each other. Pure: no file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from app.settings.settings import Settings

VERIFY_FULL = "verify-full"
_PAIRS = ("mqtt", "kafka", "console")


def wrong_transport(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each contradiction: what would be ignored, or would send a password in clear."""
    for table in _PAIRS:
        certificate, key = getattr(settings, table).cert_file, getattr(settings, table).key_file
        if (certificate is None) != (key is None):
            there, missing = ("key_file", "cert_file") if certificate is None else ("cert_file", "key_file")
            yield f"{table}.{there} is set and {table}.{missing} is not: a certificate and its key are named together"
    if settings.mqtt.cert_file is not None and not settings.mqtt.url.startswith("mqtts:"):
        yield "mqtt.cert_file needs TLS: begin mqtt.url with mqtts:"
    yield from _kafka(settings)
    yield from _database("inventory", settings.inventory.url or settings.incidents.url, settings.inventory.ca_file)
    yield from _database("incidents", settings.incidents.url, settings.incidents.ca_file)
    if settings.results.ca_file is not None and "tls=true" not in settings.results.url:
        yield "results.ca_file needs TLS: results.url must be influx://…&tls=true"


def _kafka(settings: Settings) -> Iterator[str]:
    kafka = settings.kafka
    if kafka.tls:
        return
    for field in ("ca_file", "cert_file", "password_file"):
        if getattr(kafka, field) is not None:
            why = (
                "or whoever listens can try passwords on what is sent"
                if field == "password_file"
                else "or it is not used"
            )
            yield f"kafka.{field} needs kafka.tls = true, {why}"


def _database(table: str, url: str, ca_file: object) -> Iterator[str]:
    if ca_file is None:
        return
    if not url.startswith("postgresql:"):
        yield f"{table}.ca_file is for PostgreSQL, and {table}.url is none"
        return
    mode = parse_qs(urlsplit(url).query).get("sslmode", [VERIFY_FULL])[-1]
    if mode != VERIFY_FULL:
        yield f"{table}.ca_file asks for sslmode={VERIFY_FULL}, {table}.url for sslmode={mode}: take one of them out"
