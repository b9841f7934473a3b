"""``linli replay``: the rules over events of a file or an archive, as the log would run them; no store, no settings."""

from __future__ import annotations

import collections
import datetime
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from contracts.errors import ConfigurationError
from contracts.findings import Finding, Output
from detectors.registry import all_rules
from ingest.pipeline.event_file import EventFile
from streams.archive.keys import SiteKeys
from streams.archive.replaying import is_segment, run_segments, segment_file
from streams.engine.in_memory_run import run_file


@click.command("replay")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="one JSON line a finding, all of it")
@click.option("--key-file", type=click.Path(path_type=Path), help="the sites' keys, for segments of an archive")
def command(files: tuple[Path, ...], as_json: bool, key_file: Path | None) -> None:  # noqa: FBT001 - click passes flags so
    """Run the rules over FILES and print their findings, in order.

    Either one file of events (- is stdin): one per line, in order of acceptance, with received_ms set; its first
    records configure the sites. `linli simulate` writes such files. Lines that are no event, and events of devices
    that the records do not name, are counted and skipped.

    Or segments of an archive (`linli archive list`), any number of sites and days: the rules are given exactly what the
    log gave them, in order of days. The first day's hours may be judged differently, since the days before are missing.

    The same files always give the same findings: LINLI_* and linli.toml play no part.
    """
    counts: collections.Counter[str] = collections.Counter()
    source = EventFile()
    if any(is_segment(file) for file in files):
        _print(_of_segments(files, key_file), counts, as_json=as_json)
        click.echo(f"{len(files)} segments, {sum(counts.values())} outputs", err=True)
    elif len(files) > 1:
        raise ConfigurationError(f"{len(files)} files: give one file of events, or segments of an archive")
    else:
        with _open(files[0]) as lines:
            _print(run_file(source.events(lines), all_rules()), counts, as_json=as_json)
        click.echo(f"{source.accepted} events, {sum(counts.values())} outputs", err=True)
    _report(source, counts)
    if source.refused and not source.accepted:
        sys.exit(1)


def _print(outputs: Iterable[Output], counts: collections.Counter[str], *, as_json: bool) -> None:
    for output in outputs:
        if isinstance(output, Finding):
            counts[output.rule] += 1
            click.echo(msgspec.json.encode(output) if as_json else line_of(output))
        else:
            counts["(asked to judge a window again)"] += 1


def _of_segments(files: tuple[Path, ...], key_file: Path | None) -> Iterator[Output]:
    others = [file for file in files if not is_segment(file)]
    if others:
        raise ConfigurationError(f"{others[0]} is no segment of an archive, as other files here are; give one kind")
    if key_file is None:
        raise ConfigurationError("segments need their sites' keys: --key-file FILE (archive.key_file)")
    return run_segments([segment_file(file) for file in files], SiteKeys(key_file), all_rules())


def _open(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; give a file of events, one a line") from None


def line_of(finding: Finding) -> str:
    """Return one finding as a line for a person to read."""
    moment = datetime.datetime.fromtimestamp(finding.decided_ms / 1000, tz=datetime.UTC)
    flags = ("" if finding.verified else " unverified") + (
        f" late {finding.late_by_ms} ms" if finding.late_by_ms else ""
    )
    return (
        f"{moment:%Y-%m-%dT%H:%M:%S}Z {finding.site_id} {finding.rule} {finding.phase} {finding.severity} "
        f"{finding.subject.kind}={finding.subject.ref} {finding.finding_id}{flags}"
    )


def _report(source: EventFile, counts: collections.Counter[str]) -> None:
    for name, count in sorted(counts.items()):
        click.echo(f"  {name}: {count}", err=True)
    for reason, refusal in sorted(source.refused.items()):
        click.echo(
            f"  skipped, {reason}: {refusal.count}, first in line {refusal.first_line}: {refusal.detail}", err=True
        )
    for fault, count in sorted(source.dropped.items()):
        click.echo(f"  dropped, {fault}: {count}", err=True)
    for one in source.noticed():
        click.echo(f"  noticed, {one.site_id}/{one.device_id} {one.code}: {one.detail}", err=True)
    if source.pending_devices():
        click.echo(f"  pending devices: {source.pending_devices()}", err=True)
