"""What devices say while nobody listens: after the machine has ended and before the district's first shard runs.

A broker keeps it in the session of the machine's ``mqtt.client_id``. Shards may have sessions of other names, or
another broker, and would never read it. So their sessions are made first; from then on they get everything. Then the
machine's session is read to its end into the new log, and forgotten. What both sessions had is in the log twice and
judged once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from app.settings.servers import BrokerChoice
from app.settings.settings import Settings
from app.wiring.ingest import client_id_of, shard_settings
from app.wiring.ingest_process import IngestProcess
from app.wiring.ports import listens
from app.wiring.stores import open_inventory
from contracts.errors import Transient
from contracts.secret_urls import SecretUrl
from ingest.pipeline.shard_assignment import ShardAssignment
from ingest.session.broker import find_mosquitto, start_broker
from ingest.session.listener import listening, protocol_of
from ingest.session.session import forget_session
from ingest.settings import BrokerAddress, broker_address

OWN_BROKER, OWN_SESSIONS = "broker", "mosquitto.db"
READ_S = 1_800.0
"""How long reading a session may take; a long weekend's messages are read in minutes."""


def take_leftovers(machine: Settings, district: Settings, shards: int, say: Callable[[str], None]) -> None:
    """Put what waits for the machine into the district's log. Safe to repeat.

    Args:
        machine: the settings of the machine, which has ended.
        district: whose log has been copied, and none of whose processes runs.
        shards: how many shards of ingest it will have.
        say: told what was done.

    Raises:
        Transient: a broker does not answer; start it and repeat.
    """
    make_sessions(district, shards)
    if not _had_its_own(machine) and not _is_of_a_shard(machine, district, shards):
        read_session(machine, district, say)
    with own_broker(machine) as own:
        if own is not None:
            read_session(own, district, say)


def make_sessions(district: Settings, shards: int) -> None:
    """Have the district's broker keep from now on what comes for each shard.

    Raises:
        Transient: it does not answer. ConfigurationError: it refuses us.
    """
    inventory = open_inventory(district)
    try:
        sites = [(site.site_id, "") for site in inventory.sites()]
    finally:
        inventory.close()
    for index in range(shards):
        wired = shard_settings(district, index, shards, partitions=district.kafka.partitions, log_id="")
        address = broker_address(wired.mqtt_url, wired.password, wired.tls)
        with listening(address, wired.client_id, ShardAssignment(wired).filters(sites), protocol_of(address)):
            pass  # the broker has its subscriptions now, and keeps the session


def read_session(holder: Settings, district: Settings, say: Callable[[str], None]) -> None:
    """Be a shard with the holder's session until everything that waited in it is in the district's log; then forget it.

    Raises:
        Transient: the broker does not answer, or that took too long.
    """
    name, address = client_id_of(holder), _address(holder)
    protocol_of(address)  # whoever is away ends us here, where a shard would wait for ever
    mqtt = msgspec.structs.replace(holder.mqtt, client_id=name)
    process = IngestProcess(msgspec.structs.replace(district, mqtt=mqtt), 0, 1)
    process.on_ready = process.stop.set
    late = threading.Timer(READ_S, process.stop.set)
    late.daemon = True
    late.start()
    process.run()
    if not late.is_alive():
        raise Transient(f"the session {name} was not read to its end within {READ_S:.0f} s; start again, it goes on")
    late.cancel()
    forget_session(address, name)
    say(f"session {name} at {address.host}:{address.port}: read to its end, and forgotten")


@contextmanager
def own_broker(machine: Settings) -> Iterator[Settings | None]:
    """Run the broker that ``linli run`` had, where it has kept sessions; the settings under which it is reached."""
    folder = machine.log.folder() / OWN_BROKER
    if not (folder / OWN_SESSIONS).exists() or find_mosquitto() is None:
        yield None
        return
    broker = start_broker(folder, 0, "mosquitto")
    try:
        secrets = dict.fromkeys(("password_file", "ca_file", "cert_file", "key_file"))
        mqtt = msgspec.structs.replace(machine.mqtt, url=SecretUrl(broker.url), **secrets)
        yield msgspec.structs.replace(machine, mqtt=mqtt)
    finally:
        broker.stop()


def _had_its_own(machine: Settings) -> bool:
    """Return whether the broker at ``mqtt.url`` was the machine's own, which has ended with it."""
    address = _address(machine)
    return machine.mqtt.embedded is not BrokerChoice.OFF and not listens(address.host, address.port)


def _is_of_a_shard(machine: Settings, district: Settings, shards: int) -> bool:
    """Return whether a shard of the district resumes the very session that the machine had."""
    names = {client_id_of(district, index, shards) for index in range(shards)}
    old, new = _address(machine), _address(district)
    return client_id_of(machine) in names and (old.host, old.port) == (new.host, new.port)


def _address(settings: Settings) -> BrokerAddress:
    wired = shard_settings(settings, log_id="")
    return broker_address(wired.mqtt_url, wired.password, wired.tls)
