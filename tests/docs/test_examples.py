"""What the pages show can be typed: every command, every settings file, the API's lines and the set-up of mosquitto."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import click
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from app.main import linli
from app.settings.loading import load
from console.api.context import REQUEST_HEADER
from contracts.names import DeviceClass
from contracts.secrets import Secret
from detectors.registry import all_rules
from edge.camera import convert, load_camera, read_toml
from edge.config import EdgeConfig
from ingest.settings import ShardSettings
from ingest.shard.recording import RecordingLog
from inventory.inventory import Inventory
from tests.console.support import PASSWORD, World
from tests.incidents.builders import make_finding
from tests.ingest.builders import device, door, site, wire
from tests.ingest.clients import PATIENCE_S, wait_until
from tests.ingest.shards import RunningShard, events_in
from tests.support.broker import mosquitto, need_mosquitto

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    page.name: page.read_text(encoding="utf-8") for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
}
VALUES = {
    "/srv/old": ".",
    "N": "1",
    "D": "1",
    "K": "1",
    "P": "0",
    "i/n": "0/2",
    "NUMBER": "1",
    "ROLE@SITE": "viewer@s1",
}
"""What stands for a value on a page, and such a value."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str, page: str) -> list[str]:
    """The examples of a language on a page."""
    return [text for name, text in _FENCE.findall(PAGES[page]) if name == language]


def typed() -> Iterator[tuple[str, str]]:
    """Every line of a block that calls linli, and every call in a sentence that has an option, with its page."""
    for page, text in PAGES.items():
        shown = [line for block in blocks("", page) for line in block.splitlines()]
        shown += re.findall(r"`(linli [a-z][^`]* --[^`]*)`", text.replace("\n", " "))
        for line in shown:
            for part in re.split(r" && |; ", line.split("  #")[0]):
                if part.strip().startswith("linli ") and "…" not in part:
                    yield page, part.strip().split(" > ")[0]


@pytest.mark.parametrize(("page", "line"), sorted(set(typed())))
def test_every_command_of_a_page_can_be_typed(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [VALUES.get(word, word) for word in shlex.split(line)[1:]]
    for word in words:  # what a command wants to be there already
        if re.search(r"\.(toml|jsonl|mp4)$|^VIDEO$|^FILE$|^MANIFEST$", word) and not word.startswith("/"):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()
    context = click.Context(linli)
    command: click.Command = linli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"docs: {page} names {line!r}; there is no {words[0]!r}"
        with command.make_context(command.name, [*words], parent=context) as context:
            command, words = found, words[1:]
        while isinstance(command, click.Group) and words and words[0].startswith("--"):
            words = words[2:]  # an option of the group, as --config FILE
    options = {name: option for option in command.params for name in option.opts}
    if "--yes" in options:
        words.append("--yes")  # nobody is there to be asked
    if words and words[-1] in options and not getattr(options[words[-1]], "is_flag", True):
        words.append("1")  # a sentence names the option alone
    needs_more = isinstance(command, click.Group) or "-" in line
    try:
        command.make_context(command.name, [*words], parent=context)
    except click.exceptions.MissingParameter:
        assert needs_more, f"{page}: {line}"


def test_settings_of_every_page_are_read(tmp_path: Path) -> None:
    for page in ("operations.md", "ingest.md"):
        for number, block in enumerate([*blocks("toml", page), *receivers(page)]):
            file = tmp_path / f"{page}-{number}.toml"
            file.write_text(block, encoding="utf-8")
            assert load(file, {}).origins
    box, stream = blocks("toml", "edge.md")
    (camera,) = blocks("toml", "vision-falling.md")
    for name, text in {"box.toml": box, "camera.toml": camera}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert convert(read_toml(tmp_path / "box.toml", "box"), EdgeConfig, "box").camera
    (tmp_path / "box.toml").write_text(f"{box}\n{stream}", encoding="utf-8")
    assert convert(read_toml(tmp_path / "box.toml", "box"), EdgeConfig, "box").camera[-1].stream.decoder == "pyav"
    assert load_camera(tmp_path / "camera.toml").id == "c1"


def receivers(page: str) -> list[str]:
    """The examples of receivers on a page."""
    return [block for block in blocks("", page) if block.startswith("[[receiver]]")]


def test_the_lines_of_the_api_do_what_they_say_and_need_their_header(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_people("wang")
    (opened,) = world.take(make_finding())
    lines = [line for block in blocks("", "operations.md") for line in block.splitlines() if line.startswith("curl ")]
    assert len(lines) == 4
    client = world.client()
    del client.headers[REQUEST_HEADER]
    for line in lines:
        words = shlex.split(line.replace("INCIDENT_ID", opened).replace("a long password", PASSWORD))
        url = words[-1].removeprefix("http://127.0.0.1:8080")
        headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
        body = next((words[n + 1] for n, word in enumerate(words) if word == "-d"), None)
        if body is None:
            assert client.get(url, headers=headers).status_code == 200, line
            continue
        bare = {name: value for name, value in headers.items() if name != REQUEST_HEADER}
        assert bare != headers
        assert client.post(url, content=body, headers=bare).status_code == 403
        assert client.post(url, content=body, headers=headers).status_code == 200, line


def test_the_regroup_times_are_those_of_the_rules() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| (\d+) min \|$", PAGES["incidents.md"], re.MULTILINE))
    assert shown == {rule.name: str(rule.facts.regroup_ms // 60_000) for rule in all_rules()}


@pytest.mark.service
def test_mosquitto_set_up_as_the_page_says_serves_ingest_and_keeps_devices_apart(tmp_path: Path) -> None:
    ((listener,), (acl,)) = blocks("conf", "ingest.md"), blocks("acl", "ingest.md")
    accounts = re.findall(r"^mosquitto_passwd .*passwd (\S+)$", PAGES["ingest.md"], re.MULTILINE)
    assert accounts == ["ingest", "s1/gate/gate-1", "s1/edge/box-1"]
    need_mosquitto()
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    passwords = tmp_path / "passwd"
    passwords.touch()
    for account in accounts:
        subprocess.run([program, "-b", passwords, account, "word"], check=True, capture_output=True)
    (tmp_path / "acl").write_text(acl, encoding="utf-8")
    for file in (passwords, tmp_path / "acl"):
        file.chmod(0o644)
    # the test's own listener on loopback stands for the one with TLS
    more = [line.replace("/etc/mosquitto", str(tmp_path)) for line in listener.splitlines()]
    more = [line for line in more if not line.startswith(("listener", "certfile", "keyfile"))]

    def with_accounts(text: str) -> str:
        kept = [line for line in text.splitlines() if not line.startswith("allow_anonymous")]
        return "\n".join([*kept, *more]) + "\n"

    with closing(Inventory(tmp_path / "config.db")) as inventory:
        inventory.put([site(), device("gate-1", DeviceClass.GATE), device("gate-2", DeviceClass.GATE)])
    log = RecordingLog()
    with mosquitto(tmp_path / "broker", change=with_accounts) as broker:
        settings = ShardSettings(mqtt_url=broker.url, password=Secret("ingest:word"))
        shard = RunningShard(settings, log, tmp_path)
        shard.ready()
        with suppress(RuntimeError):  # some brokers hang up on whoever says what is not theirs
            _say_as("s1/gate/gate-1", broker.port, "gate-2")
        _say_as("s1/gate/gate-1", broker.port, "gate-1")
        assert wait_until(lambda: "gate-1" in _speakers(log))
        shard.stop()
    assert _speakers(log) == {"gate-1"}  # nobody speaks for another


def _say_as(account: str, port: int, gate: str) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(account, "word")
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        said = client.publish(f"linli/v1/s1/gate/{gate}/evt", wire(door(f"e-{gate}", source_id=gate)), qos=1)
        said.wait_for_publish(PATIENCE_S)
    finally:
        client.disconnect()
        client.loop_stop()


def _speakers(log: RecordingLog) -> set[str]:
    return {event.source_id for event in events_in(log.batches)} - {"config", "ingest"}
