"""``linli topics``: the district's topics on Kafka, made and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.command_line import pass_settings
from app.settings.settings import Settings
from app.wiring.district import open_cluster, wanted_topics
from streams.topics import TopicSpec, differences, wrong_settings, wrong_shape

if TYPE_CHECKING:
    from streams.kafka import KafkaCluster


@click.group("topics")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Make and check the topics of a district: the log, findings, snapshots and dead letters.

    log.url names the brokers; kafka.partitions, kafka.replication, log.retention_days and kafka.retention_bytes say how
    the topics must be. The number of partitions is chosen once: a log never grows partitions.
    """
    context.obj = config


@command.command("create")
@pass_settings
def create(settings: Settings) -> None:
    """Make what is missing and set what differs; what is right stays as it is, so repeat this at will.

    Never removes a topic, and never adds partitions or copies to one: that is said, and the exit code is 1.
    """
    with open_cluster(settings, "linli-topics") as cluster:
        wrong = [line for spec in wanted_topics(settings, cluster.brokers()) for line in _make(cluster, spec)]
    _conclude(wrong)


@command.command("check")
@pass_settings
def check(settings: Settings) -> None:
    """Say what differs from the settings and what to do about it, a line each; the exit code is 1 if anything does."""
    with open_cluster(settings, "linli-topics") as cluster:
        wrong = [
            line
            for spec in wanted_topics(settings, cluster.brokers())
            for line in differences(spec, cluster.topic_state(spec.name))
        ]
    _conclude(wrong)


def _make(cluster: KafkaCluster, spec: TopicSpec) -> list[str]:
    """Bring one topic to its specification; what could not be."""
    found = cluster.topic_state(spec.name)
    if found is None and cluster.create_topic(spec):
        click.echo(f"{spec.name}: made, {spec.partitions} partitions, {spec.replication} copies", err=True)
        return []
    found = found or cluster.topic_state(spec.name)  # somebody else made it just now
    if found is None:
        return [f"{spec.name} is made and gone again: does somebody delete it?"]
    settings = wrong_settings(spec, found)
    if settings:
        cluster.configure_topic(spec.name, settings)
        click.echo(f"{spec.name}: set {', '.join(f'{k} = {v}' for k, v in settings.items())}", err=True)
    else:
        click.echo(f"{spec.name}: there already", err=True)
    return wrong_shape(spec, found)


def _conclude(wrong: list[str]) -> None:
    for line in wrong:
        click.echo(line)
    if wrong:
        raise click.exceptions.Exit(1)
    click.echo("all topics are as they must be", err=True)
