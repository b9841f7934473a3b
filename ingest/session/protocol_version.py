"""Which MQTT a broker speaks, asked with one CONNECT of version 5; brokers of 3.1.1 refuse it or hang up."""

from __future__ import annotations

import secrets
import socket

from ingest.settings import BrokerAddress

_TIMEOUT_S = 5.0
_CONNACK = 0x20
_UNSUPPORTED = 0x84


def speaks_version_5(address: BrokerAddress) -> bool:
    """Return whether the broker answers a CONNECT of MQTT 5 as MQTT 5 does, be it with a refusal of who we are.

    Raises:
        OSError: when it cannot be reached, is not who it should be, or what answers is no broker.
        ConfigurationError: a file of TLS cannot be used.
    """
    with socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S) as plain:
        context = address.tls_context()
        if context is None:
            return _ask(plain)
        with context.wrap_socket(plain, server_hostname=address.host) as secure:
            return _ask(secure)


def is_version_5_answer(answer: bytes) -> bool:
    """Return whether ``answer`` is a CONNACK of MQTT 5: it has a properties length, which 3.1.1 lacks.

    >>> is_version_5_answer(bytes.fromhex("2003000000")), is_version_5_answer(bytes.fromhex("20020001"))
    (True, False)
    """
    return len(answer) >= 4 and answer[0] == _CONNACK and answer[1] >= 3 and answer[3] != _UNSUPPORTED


def _ask(connection: socket.socket) -> bool:
    client_id = f"linli-ask-{secrets.token_hex(4)}".encode()
    # protocol name, version 5, clean start, keep-alive 10 s, no properties, client id
    body = b"\x00\x04MQTT\x05\x02\x00\x0a\x00" + len(client_id).to_bytes(2, "big") + client_id
    connection.sendall(b"\x10" + bytes([len(body)]) + body)
    try:
        answer = connection.recv(64)
        if is_version_5_answer(answer):
            connection.sendall(b"\xe0\x00")  # DISCONNECT
            return True
    except (TimeoutError, ConnectionError):
        return False  # a broker that hangs up on version 5 does not speak it
    if answer and answer[0] != _CONNACK:
        raise OSError(f"what answers speaks no MQTT: it begins with {answer[:8]!r}")
    return False
