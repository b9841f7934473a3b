"""Whether a broker is fit for ingest, asked as ingest uses it: takes us in, and keeps what comes while we are away.

What is tried stays on topics of its own below ``linli/probe`` and in sessions of its own, which are removed.
"""

from __future__ import annotations

import secrets

from contracts.names import PROBE_ROOT
from ingest.session.listener import listening, protocol_of
from ingest.session.session import forget_session
from ingest.settings import BrokerAddress

MESSAGES = 1_500
"""More than brokers keep for an absent client by default (mosquitto: 1,000)."""


def kept_while_away(address: BrokerAddress, messages: int = MESSAGES) -> int:
    """Return how many of ``messages`` that came while a session's client was away the broker had kept for it.

    Raises:
        Transient: the broker does not answer. ConfigurationError: it does not take us.
    """
    name = f"linli-doctor-{secrets.token_hex(4)}"
    topic = f"{PROBE_ROOT}/{name}-kept"
    protocol = protocol_of(address)
    try:
        with listening(address, name, [topic], protocol):
            pass
        with listening(address, f"{name}-says", [topic], protocol) as says:
            says.publish(messages)
        with listening(address, name, [topic], protocol) as back:
            return back.heard(messages)
    finally:
        for client_id in (name, f"{name}-says"):
            forget_session(address, client_id)
