"""``linli ingest``: the shards that write a district's log."""

from __future__ import annotations

import re
from pathlib import Path

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings


class ShardNumber(click.ParamType):
    """``i/n``, 0 ≤ i < n."""

    name = "i/n"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the two numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", value)
        if found is None or not int(found[1]) < int(found[2]):
            self.fail(f"{value!r} is no shard; expected i/n with i from 0 to n - 1, as in 0/2", param, ctx)
        return int(found[1]), int(found[2])


_shard = click.option(
    "--shard", type=ShardNumber(), default="0/1", show_default=True, help="which one of how many, from 0"
)


@click.group("ingest")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Carry what devices say from MQTT into the log on Kafka, and to nobody else.

    n shards share the partitions of the log: shard i/n writes those whose number leaves i when divided by n. Each must
    run exactly once: a second owner of a shard's session ends the first.
    """
    context.obj = config


@command.command("run")
@_shard
@pass_settings
def run(settings: Settings, shard: tuple[int, int]) -> None:
    """Run one shard until Ctrl-C or SIGTERM, which finish what was accepted.

    It waits for whoever is away, Kafka, MQTT or the inventory, and says for whom. While Kafka does not acknowledge it
    reads no more from the broker, which keeps what comes. Killed, the next start under the same --shard resumes its
    session there. One shard alone also lists unknown topics as pending; several subscribe to their sites only.
    """
    from app.wiring.ingest_process import run_ingest
    from app.wiring.logs import configure_logs

    configure_logs()
    run_ingest(settings, *shard)


@command.command("forget")
@_shard
@click.confirmation_option(prompt="Delete this shard's session at the broker, with what waits in it?")
@pass_settings
def forget(settings: Settings, shard: tuple[int, int]) -> None:
    """Delete the session of a shard that will not run again: after a change of n, else the broker collects for it.

    A change of n: start all new shards, wait until each is ready, stop the old ones, then forget the old ones.
    """
    from app.wiring.ingest import client_id_of, shard_settings
    from ingest.session.session import forget_session
    from ingest.settings import broker_address

    wired = shard_settings(settings, *shard, partitions=shard[1], log_id="")
    forget_session(broker_address(wired.mqtt_url, wired.password, wired.tls), wired.client_id)
    click.echo(f"{client_id_of(settings, *shard)} is forgotten at {settings.mqtt.url}", err=True)
