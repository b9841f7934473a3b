"""systemd units of a deployment: hardened, restarted whatever happens, each process with its own secrets alone.

What a process needs of the settings' files is handed over as credentials; those of others it cannot open, though all
run under one account. The archive's keys are no credential, since they are written.

There is no ``WatchdogSec``: liveness is progress, and a worker that makes none replaces itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from app.operations.services import Service
from app.settings.kinds import SQLITE
from app.settings.secret_files import files_named, receiver_files
from app.settings.settings import Settings, keys
from app.settings.stores import sqlite_path

TARGET = "linli.target"
STATE = Path("/var/lib/linli")
"""What ``StateDirectory`` makes writable."""
WRITTEN = "archive.key_file"
"""No credential: the archive adds each new site's key to it, and an erasure takes one away."""

_UNIT = """\
# Written by `linli services --systemd`; write it again rather than change it here.
[Unit]
Description=Linli: {does}
Wants=network-online.target
After=network-online.target
PartOf={target}
# Tried again forever: what it waits for (a broker, a database) may be away for long.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={linli} {arguments}
User=linli
Group=linli
StateDirectory=linli
WorkingDirectory=%S/linli
{environment}{access}\
Restart=always
RestartSec=2
# A wrong setting: starting again does not help.
RestartPreventExitStatus=2
# Draining takes the time of one append, of one snapshot of each site, of one delivery.
TimeoutStopSec=40
KillMode=mixed
LimitNOFILE=65536
MemoryMax=1G
UMask=0077
NoNewPrivileges=true
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
PrivateDevices=true
PrivateTmp=true
RemoveIPC=true
LockPersonality=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy={target}
"""

_TARGET_UNIT = """\
# Written by `linli services --systemd`: `systemctl start {target}` starts everything, `stop` ends it in order.
[Unit]
Description=Linli
Wants={services}

[Install]
WantedBy=multi-user.target
"""


def units_of(settings: Settings, services: Sequence[Service], *, linli: Path) -> dict[str, str]:
    """File name → text, of one unit a service and the target that holds them together.

    Args:
        settings: those whose secrets the services get.
        services: what to run, with the settings file in their arguments.
        linli: the program.
    """
    files = {f"{service.name}.service": _unit(settings, service, linli) for service in services}
    return files | {TARGET: _TARGET_UNIT.format(target=TARGET, services=" ".join(files))}


def _unit(settings: Settings, service: Service, linli: Path) -> str:
    lines = [] if service.metrics_port is None else [f"Environment=LINLI_METRICS_PORT={service.metrics_port}"]
    own = {key: path for key, path in files_named(settings).items() if keys()[key].table in service.secrets_of}
    for key, path in own.items():
        if key == WRITTEN:
            continue
        name = key.replace(".", "-")
        lines.append(f"LoadCredential={name}:{path.absolute()}")
        lines.append(f"Environment={keys()[key].variable}=%d/{name}")
    return _UNIT.format(
        does=service.does,
        target=TARGET,
        linli=linli,
        arguments=" ".join(service.arguments),
        environment="".join(f"{line}\n" for line in lines),
        access="".join(f"{line}\n" for line in _access(settings, service)),
    )


def _access(settings: Settings, service: Service) -> list[str]:
    """Return what the process may write beside its own state, and which files of others it may not even see."""
    written = written_by(settings, service.writes_to)
    named = files_named(settings) | receiver_files(settings)
    own = {path.absolute() for key, path in named.items() if _table(key) in service.secrets_of}
    hidden = {path.absolute() for path in named.values()} - own
    lines = [f"ReadWritePaths=-{path}" for path in sorted(written) if not path.is_relative_to(STATE)]
    return [*lines, *(f"InaccessiblePaths=-{path}" for path in sorted(hidden - _trusted(settings)))]


def written_by(settings: Settings, tables: Iterable[str]) -> set[Path]:
    """Return the folders outside the working directory that processes with these tables write to."""
    found: set[Path] = set()
    for key in keys().values():
        if key.table not in tables:
            continue
        value = key.value(settings)
        if key.field == "url" and str(value).startswith(SQLITE):
            path = sqlite_path(key.name, str(value))
            found.add(path if key.table == "log" else path.parent)
        elif isinstance(value, Path) and (key.field == "folder" or key.name in {WRITTEN, "results.spool"}):
            found.add(value if key.field == "folder" else value.parent)
    return {path for path in found if path.is_absolute()}


def _trusted(settings: Settings) -> set[Path]:
    """Return the certificates of authorities: one file is often several settings', and is no secret."""
    return {path.absolute() for key, path in files_named(settings).items() if key.endswith("ca_file")}


def _table(key: str) -> str:
    """Return the table of a setting; ``receiver grid: secret_file`` is a receiver's."""
    return keys()[key].table if key in keys() else "receiver"
