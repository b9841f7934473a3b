"""Ports of this machine: whether something listens, and which is free."""

from __future__ import annotations

import socket

from contracts.errors import ConfigurationError


def listens(host: str, port: int) -> bool:
    """Return whether something answers there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def free_port(host: str, wanted: int) -> int:
    """Return ``wanted``, or the next free port above it; 0 takes any.

    Raises:
        ConfigurationError: none of the next hundred is free.
    """
    for port in range(wanted, wanted + 100) if wanted else [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError(f"port {wanted} and the hundred above it are taken on {host}; choose another")
