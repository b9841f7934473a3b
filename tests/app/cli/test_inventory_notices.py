"""What ingest noticed of devices can be listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import linli
from inventory.inventory import Inventory
from inventory.notices import DeviceNotice, NoticeCode


def test_notices_are_listed_one_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINLI_INVENTORY_URL", f"sqlite:///{tmp_path}/config.db")
    inventory = Inventory(tmp_path / "config.db")
    said = CliRunner().invoke(linli, ["inventory", "notices"])
    assert (said.exit_code, said.stdout, said.stderr) == (0, "", "nothing was noticed\n")
    notice = DeviceNotice(
        site_id="s1",
        device_id="m1",
        code=NoticeCode.NEGATIVE_POWER,
        detail="-40 W",
        count=7,
        first_ms=0,
        last_ms=60_000,
    )
    inventory.notices.put([notice], "log/0", {"s1"}.__contains__)
    said = CliRunner().invoke(linli, ["inventory", "notices"])
    assert said.stdout == "s1\tm1\tnegative_power\t-40 W\t7\t1970-01-01T00:01:00Z\n"
