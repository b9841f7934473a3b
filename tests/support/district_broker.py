"""The district's broker for tests: mosquitto with the very files that its container mounts, on a free loopback port."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ingest.session.broker import MosquittoChild, free_port
from tests.support.broker import need_mosquitto

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DISTRICT = DEPLOY / "compose" / "district"


def secrets_module() -> ModuleType:
    """``make_secrets.py``, which is no module of the wheel."""
    spec = importlib.util.spec_from_file_location("make_secrets", DISTRICT / "make_secrets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class DistrictBroker:
    """mosquitto with TLS, accounts and the access list; ``secrets`` holds what the Compose file's volumes would.

    Args:
        accounts: more of them, beside those that are made for everybody.
        more_acl: lines behind the shipped access list, for whoever must see everything in a test.
    """

    def __init__(self, folder: Path, accounts: Sequence[str] = (), more_acl: str = "") -> None:
        self.secrets, self.port = folder / "secrets", free_port()
        secrets_module().make_secrets(self.secrets)
        for account in accounts:
            self._add(account)
        acl = folder / "accounts.acl"
        acl.write_text((DISTRICT / "accounts.acl").read_text(encoding="utf-8") + more_acl, encoding="utf-8")
        text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
        kept = [line for line in text.splitlines() if not line.startswith(("persistence_location", "include_dir"))]
        listener = (DISTRICT / "mosquitto.conf").read_text(encoding="utf-8")
        listener = listener.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        listener = listener.replace("/run/secrets/broker", str(self.secrets / "broker"))
        listener = listener.replace("/mosquitto/config/accounts.acl", str(acl))
        settings = "\n".join([*kept, listener, f"persistence_location {folder}/", "user root", ""])
        self.broker = MosquittoChild(need_mosquitto(), folder, self.port, settings)

    def _add(self, account: str) -> None:
        listed, made = self.secrets / "broker" / "accounts", secrets_module().mosquitto_hash("a password", b"0" * 12)
        listed.chmod(0o600)
        listed.write_text(f"{listed.read_text(encoding='utf-8')}{account}:{made}\n", encoding="utf-8")
        file = self.secrets / "linli" / f"mqtt-{account.replace('/', '-')}"
        file.write_text(f"{account}:a password", encoding="utf-8")

    @property
    def ca_file(self) -> str:
        """The certificate of its authority."""
        return str(self.secrets / "linli" / "ca.crt")

    def password(self, account: str) -> str:
        """``account:password``."""
        name = f"mqtt-{account.replace('/', '-')}"
        return (self.secrets / "linli" / name).read_text(encoding="utf-8")

    def stop(self) -> None:
        """End it."""
        self.broker.stop()
