"""``linli replay``: the rules over a file of events, as the log would run them; no store, no settings."""

from __future__ import annotations

import collections
import datetime
import sys
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from contracts.errors import ConfigurationError
from contracts.findings import Finding
from detectors.registry import all_rules
from ingest.event_file import EventFile
from streams.run_file import run_file


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="one JSON line a finding, all of it")
def command(file: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Run the rules over FILE (- is stdin) and print their findings, in order.

    FILE holds one event per line, in order of acceptance, with received_ms set; its first records configure the sites.
    `linli simulate` writes such files. The same file always gives the same findings: LINLI_* and linli.toml play no
    part. Lines that are no event, and events of devices that the records do not name, are counted and skipped.
    """
    source = EventFile()
    counts: collections.Counter[str] = collections.Counter()
    with _open(file) as lines:
        for output in run_file(source.events(lines), all_rules()):
            if isinstance(output, Finding):
                counts[output.rule] += 1
                click.echo(msgspec.json.encode(output) if as_json else line_of(output))
            else:
                counts["(asked to judge a window again)"] += 1
    _report(source, counts)
    if source.refused and not source.accepted:
        sys.exit(1)


def _open(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; give a file of events, one a line") from None


def line_of(finding: Finding) -> str:
    """One finding for a person to read."""
    moment = datetime.datetime.fromtimestamp(finding.decided_ms / 1000, tz=datetime.UTC)
    flags = ("" if finding.verified else " unverified") + (
        f" late {finding.late_by_ms} ms" if finding.late_by_ms else ""
    )
    return (
        f"{moment:%Y-%m-%dT%H:%M:%S}Z {finding.site_id} {finding.rule} {finding.phase} {finding.severity} "
        f"{finding.subject.kind}={finding.subject.ref} {finding.finding_id}{flags}"
    )


def _report(source: EventFile, counts: collections.Counter[str]) -> None:
    click.echo(f"{source.accepted} events, {sum(counts.values())} outputs", err=True)
    for name, count in sorted(counts.items()):
        click.echo(f"  {name}: {count}", err=True)
    for reason, refusal in sorted(source.refused.items()):
        click.echo(
            f"  skipped, {reason}: {refusal.count}, first in line {refusal.first_line}: {refusal.detail}", err=True
        )
    if source.pending_devices():
        click.echo(f"  pending devices: {source.pending_devices()}", err=True)
