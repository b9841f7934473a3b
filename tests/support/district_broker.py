"""A shipped broker for tests: mosquitto with the very files that its deployment gives it, on free loopback ports."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import ModuleType

import yaml

from ingest.session.broker import MosquittoChild, free_port
from system.tls import TlsFiles
from tests.support.broker import need_mosquitto

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
OURS = REPOSITORY / "ingest" / "session" / "mosquitto.conf"
DEBIANS = Path("/etc/mosquitto/mosquitto.conf")


class Deployment(StrEnum):
    """Whose broker it is: a service's of docker-compose.yml, or Debian's as docs/operations.md sets it up."""

    DISTRICT = "broker"
    MACHINE = "mosquitto"
    DEBIAN = "debian"


def secrets_module() -> ModuleType:
    """``make_secrets.py``, which is no module of the wheel."""
    spec = importlib.util.spec_from_file_location("make_secrets", DEPLOY / "compose" / "make_secrets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BrokerFiles:
    """What a mosquitto with TLS, accounts and access lists is given; ``secrets`` holds what the Compose volumes would.

    ``port`` is for devices, ``platform_port`` for ingest.

    Args:
        deployment: whose files it is given.
        accounts: more of them, beside those that are made for everybody; of ingest on the platform's listener.
        more_rights: lines behind the access list there, for whoever must see everything in a test.
    """

    def __init__(
        self,
        folder: Path,
        deployment: Deployment = Deployment.DISTRICT,
        accounts: Sequence[str] = (),
        more_rights: str = "",
    ) -> None:
        self.secrets, self.port, self.platform_port = folder / "secrets", free_port(), free_port()
        self._folder, self._deployment, self._more_rights = folder, deployment, more_rights
        secrets_module().make_secrets(self.secrets)
        for account in accounts:
            self._add(account)

    def settings(self) -> str:
        """Return the settings as mosquitto reads them, with this machine's places in them."""
        text = _debians() if self._deployment is Deployment.DEBIAN else _mounted(self._deployment)
        kept = [line for line in text.splitlines() if not line.startswith(("persistence_location", "pid_file"))]
        text = "\n".join([*kept, f"persistence_location {self._folder}/", "user root", ""])
        for place, here in self._places().items():
            text = text.replace(place, here)
        return text

    def _add(self, account: str) -> None:
        listed = self.secrets / "for-broker" / ("platform" if account.startswith("ingest") else "devices")
        made = secrets_module().mosquitto_hash("a password", b"0" * 12)
        listed.chmod(0o600)
        listed.write_text(f"{listed.read_text(encoding='utf-8')}{account}:{made}\n", encoding="utf-8")
        file = self.secrets / "linli" / f"mqtt-{account.replace('/', '-')}"
        file.write_text(f"{account}:a password", encoding="utf-8")

    @property
    def ca_file(self) -> str:
        """The certificate of its authority."""
        return str(self.secrets / "linli" / "ca.crt")

    def tls(self) -> TlsFiles:
        """Return what ingest trusts it by."""
        return TlsFiles(table="mqtt", ca_file=Path(self.ca_file))

    def password(self, account: str) -> str:
        """``account:password``."""
        name = f"mqtt-{account.replace('/', '-')}"
        return (self.secrets / "linli" / name).read_text(encoding="utf-8")

    def _places(self) -> dict[str, str]:
        return {
            "listener 8883": f"listener {self.port} 127.0.0.1",
            "listener 8884": f"listener {self.platform_port} 127.0.0.1",
            "/etc/linli/broker": str(self.secrets / "for-broker"),
            "/etc/linli/acl/devices.acl": str(self._rights()),
            "/etc/linli/acl": str(DEPLOY / "mosquitto"),
        }

    def _rights(self) -> Path:
        shipped = DEPLOY / "mosquitto" / "devices.acl"
        if not self._more_rights:
            return shipped
        more = self._folder / "devices.acl"
        more.write_text(shipped.read_text(encoding="utf-8") + self._more_rights, encoding="utf-8")
        return more


class DistrictBroker(BrokerFiles):
    """The same, running. Arguments as for :class:`BrokerFiles`."""

    def __init__(
        self,
        folder: Path,
        deployment: Deployment = Deployment.DISTRICT,
        accounts: Sequence[str] = (),
        more_rights: str = "",
    ) -> None:
        super().__init__(folder, deployment, accounts, more_rights)
        self.broker = self._started()

    def restart(self, *, kill: bool = False) -> None:
        """End it, by SIGKILL if it is to be a crash, and start it on the same files and ports."""
        if kill:
            self.broker.kill()
        else:
            self.broker.stop()
        self.broker = self._started()

    def stop(self) -> None:
        """End it."""
        self.broker.stop()

    def _started(self) -> MosquittoChild:
        return MosquittoChild(need_mosquitto(), self._folder, self.port, self.settings())


def _mounted(service: str) -> str:
    """Return what a service of docker-compose.yml has as settings, with what it includes; checks its other mounts."""
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
    pairs = (volume.split(":")[:2] for volume in compose["services"][service]["volumes"])
    mounts = {inside: REPOSITORY / outside for outside, inside in pairs}
    for name in ("devices.acl", "platform.acl"):
        assert mounts[f"/etc/linli/acl/{name}"] == DEPLOY / "mosquitto" / name
    included = [file for inside, file in sorted(mounts.items()) if inside.startswith("/mosquitto/config/conf.d/")]
    text = mounts["/mosquitto/config/mosquitto.conf"].read_text(encoding="utf-8")
    return _include("/mosquitto/config/conf.d", text, included)


def _debians() -> str:
    """Return the package's settings with the two files in ``conf.d``."""
    text = DEBIANS.read_text(encoding="utf-8")
    text = re.sub("(?m)^log_dest file .*$", "log_dest stderr", text)
    return _include("/etc/mosquitto/conf.d", text, [OURS, DEPLOY / "mosquitto" / "listeners.conf"])


def _include(folder: str, text: str, files: list[Path]) -> str:
    line = f"include_dir {folder}\n"
    assert line in text
    return text.replace(line, "\n".join(file.read_text(encoding="utf-8") for file in files))
