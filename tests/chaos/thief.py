"""A device that connects under ingest's client id: it must get nothing, and ingest must not notice."""

from __future__ import annotations

from contextlib import suppress

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.district_broker import BrokerFiles

ACCOUNT, INGEST = "site-01/edge/box-street", "linli-ingest-0"
HOST = "127.0.0.1"


class Thief:
    """A client with a device's account. ``heard``: messages that it was given."""

    def __init__(self, files: BrokerFiles) -> None:
        self._files = files
        self._client: mqtt.Client | None = None
        self.heard = 0

    def begin(self, target: int) -> None:
        """Take the id, in the protocol and with the kind of session that ``target`` says, and ask for everything."""
        version = MQTTProtocolVersion.MQTTv5 if target % 2 else MQTTProtocolVersion.MQTTv311
        clean = None if target % 2 else bool(target // 2 % 2)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=INGEST, protocol=version, clean_session=clean)
        client.username_pw_set(*self._files.password(ACCOUNT).strip().split(":", 1))
        client.tls_set(ca_certs=self._files.ca_file)
        client.on_connect = _ask_for_everything
        client.on_message = self._took
        with suppress(OSError):  # the broker may be away
            client.connect(HOST, self._files.port)
        client.loop_start()
        self._client = client

    def end(self) -> None:
        """Go."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _took(self, _client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        self.heard += 1


def _ask_for_everything(client: mqtt.Client, *_: object) -> None:
    client.subscribe("#", qos=1)
