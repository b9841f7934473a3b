"""systemd units of a deployment: hardened, restarted whatever happens, secrets handed over as credentials.

There is no ``WatchdogSec``: liveness is progress, and a worker that makes none replaces itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.operations.services import Service
from app.settings.secret_files import files_named
from app.settings.settings import Settings, keys

TARGET = "linli.target"

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
{environment}\
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
    for key, path in files_named(settings).items():
        name = key.replace(".", "-")
        lines.append(f"LoadCredential={name}:{path.absolute()}")
        lines.append(f"Environment={keys()[key].variable}=%d/{name}")
    return _UNIT.format(
        does=service.does,
        target=TARGET,
        linli=linli,
        arguments=" ".join(service.arguments),
        environment="".join(f"{line}\n" for line in lines),
    )
