"""Evidence: resumable uploads, hash before visible, encrypted on disk, ranges, and who may look."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from evidence.files import EvidenceFiles
from evidence.sealed_file import CHUNK_BYTES, Part, SealBroken, load_key, seal, unseal
from evidence.store import KEPT_ON_BOX_MS, evidence_of, expire_evidence
from governance import audit
from governance.audit_notes import note_of
from identity.box_credentials import BoxTokens
from incidents.store.changes import changes_after
from incidents.store.operator_alarms import AlarmCode, standing_alarms
from tests.console.support import BOX_TOKEN, World, served, wall_world
from tests.incidents.builders import make_finding, still

pytestmark = pytest.mark.usefixtures("on_both")

CLIP = bytes(range(256)) * 1000  # 256,000 bytes: four chunks
SHA = hashlib.sha256(CLIP).hexdigest()
URL = f"/edge/v1/evidence/{SHA}"
BOX = {"Authorization": f"Bearer {BOX_TOKEN}"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add_people("wang", "zhao", "sun")
    return world


def _put(world: World, start: int, stop: int, *, total: int = len(CLIP), url: str = URL, data: bytes = CLIP) -> Any:
    headers = {**BOX, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    return world.client().put(url, content=data[start:stop], headers=headers)


def _name(world: World, **changes: Any) -> str:
    ref = still(SHA, bytes=len(CLIP), mime="video/mp4", kind="clip", **changes)
    return world.take(make_finding(evidence=(ref,)))[0]


def _states(world: World, incident_id: str) -> list[str]:
    with world.store.read() as connection:
        return [row.state.value for row in evidence_of(connection, incident_id)]


def test_an_upload_in_pieces_becomes_visible_when_it_is_complete_and_right(world: World) -> None:
    incident_id = _name(world)
    assert world.client().head(URL, headers=BOX).headers["upload-offset"] == "0"
    for start, stop, status in ((0, 1, 202), (1, 100_000, 202), (100_000, len(CLIP), 201)):
        answer = _put(world, start, stop)
        assert (answer.status_code, answer.headers["upload-offset"]) == (status, str(stop))
        assert world.client().head(URL, headers=BOX).headers["upload-offset"] == str(stop)
    assert _states(world, incident_id) == ["present"]
    answer = world.client("wang").get(f"/api/v1/evidence/{SHA}")
    assert (answer.status_code, answer.content) == (200, CLIP)
    assert answer.headers["content-type"] == "video/mp4"
    with world.store.read() as connection:
        assert [c.kind.value for c in changes_after(connection, 0, 9)] == ["opened", "evidence"]


def test_a_range_that_does_not_continue_says_where_to(world: World) -> None:
    _put(world, 0, 1000)
    for start in (0, 999, 1001):
        answer = _put(world, start, start + 10)
        assert (answer.status_code, answer.headers["upload-offset"]) == (409, "1000")
    assert _put(world, 1000, len(CLIP)).status_code == 201


def test_bytes_that_are_not_what_the_name_says_are_deleted_and_can_be_sent_again(world: World) -> None:
    incident_id = _name(world)
    assert _put(world, 0, len(CLIP), data=b"x" * len(CLIP)).status_code == 422
    assert _states(world, incident_id) == ["failed"]
    assert world.client().head(URL, headers=BOX).headers["upload-offset"] == "0"
    assert _put(world, 0, len(CLIP)).status_code == 201
    assert _states(world, incident_id) == ["present"]


def test_bytes_may_come_before_the_finding_that_names_them(world: World) -> None:
    assert _put(world, 0, len(CLIP)).status_code == 201
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").status_code == 404
    assert _states(world, _name(world)) == ["present"]
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").content == CLIP


def test_a_file_that_is_here_is_not_wanted_again(world: World) -> None:
    _put(world, 0, len(CLIP))
    assert _put(world, 0, 10).status_code == 201
    assert world.client().head(URL, headers=BOX).headers["upload-offset"] == str(len(CLIP))


def test_nothing_on_disk_is_readable_without_the_key(world: World, tmp_path: Path) -> None:
    _put(world, 0, 150_000)
    pieces = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    _put(world, 150_000, len(CLIP))
    pieces += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(CLIP[:64] in piece for piece in pieces)


@pytest.mark.parametrize(
    ("range_", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=65530-65545", 65530, 65546), ("bytes=200000-", 200_000, len(CLIP)),
     ("bytes=-5", len(CLIP) - 5, len(CLIP)), ("bytes=255999-9999999", 255_999, len(CLIP))],
)  # fmt: skip
def test_a_range_gives_exactly_those_bytes(world: World, range_: str, start: int, stop: int) -> None:
    _name(world)
    _put(world, 0, len(CLIP))
    answer = world.client("wang").get(f"/api/v1/evidence/{SHA}", headers={"Range": range_})
    assert (answer.status_code, answer.content) == (206, CLIP[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CLIP)}"


def test_a_range_of_nothing_is_416(world: World) -> None:
    _name(world)
    _put(world, 0, len(CLIP))
    answer = world.client("wang").get(f"/api/v1/evidence/{SHA}", headers={"Range": "bytes=256000-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */256000")


def test_only_who_may_see_the_incident_and_pictures_may_look(world: World) -> None:
    incident_id = _name(world)
    _put(world, 0, len(CLIP))
    statuses = {name: world.client(name).get(f"/api/v1/evidence/{SHA}").status_code for name in ("wang", "zhao", "sun")}
    assert statuses == {"wang": 200, "zhao": 404, "sun": 404}
    assert world.client("sun").get(f"/api/v1/incidents/{incident_id}").json()["evidence"] == []
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}?incident=another").status_code == 404


def test_a_view_is_logged_once_with_who_and_why(world: World) -> None:
    incident_id = _name(world)
    _put(world, 0, len(CLIP))
    client = world.client("wang")
    for range_ in ("bytes=0-10", "bytes=11-20"):
        client.get(f"/api/v1/evidence/{SHA}?incident={incident_id}&why=review", headers={"Range": range_})
    with world.store.read() as connection:
        looks = [entry for entry, _ in audit.entries(connection) if entry.action == "evidence.view"]
        written = note_of(connection, looks[0].seq)
    assert [(look.actor, look.subject) for look in looks] == [("wang", SHA)]
    assert (looks[0].detail, written) == (f'{{"incident":"{incident_id}"}}', "review")
    world.clock.advance(60_001)
    client.get(f"/api/v1/evidence/{SHA}")
    with world.store.read() as connection:
        assert len([e for e, _ in audit.entries(connection) if e.action == "evidence.view"]) == 2


@pytest.mark.parametrize(
    ("name", "status"),
    [("A" * 64, 422), ("a" * 63, 422), ("..%2f..%2fincidents.db", 404), ("%2e%2e", 422), ("a" * 63 + "%0a", 422)],
)
def test_a_name_that_is_no_hash_leads_nowhere(world: World, name: str, status: int) -> None:
    headers = {**BOX, "Content-Range": "bytes 0-0/1"}
    assert world.client().put(f"/edge/v1/evidence/{name}", content=b"x", headers=headers).status_code in {status, 405}
    assert world.client("wang").get(f"/api/v1/evidence/{name}").status_code in {status, 404}


@pytest.mark.parametrize(
    ("content_range", "status"),
    [(None, 422), ("bytes 0-9", 422), ("bytes 5-4/10", 422), ("bytes 0-10/10", 422), ("bytes 0-0/268435457", 413),
     ("bytes 0-0/" + "9" * 30, 422)],
)  # fmt: skip
def test_a_malformed_content_range_is_refused(world: World, content_range: str | None, status: int) -> None:
    headers = BOX | ({"Content-Range": content_range} if content_range else {})
    assert world.client().put(URL, content=b"x", headers=headers).status_code == status


def test_more_body_than_the_range_says_is_refused(world: World) -> None:
    headers = {**BOX, "Content-Range": f"bytes 0-9/{len(CLIP)}"}
    assert world.client().put(URL, content=b"x" * 11, headers=headers).status_code == 413


def test_a_wrong_token_and_no_token_are_refused_and_a_new_box_is_known_at_once(world: World) -> None:
    for authorization in ("Bearer wrong", "Basic x", "Bearer "):
        answer = world.client().head(URL, headers={"Authorization": authorization})
        assert answer.status_code == 401
    world.add_box("box-2", "s2", "second")
    assert world.client().head(URL, headers={"Authorization": "Bearer second"}).status_code == 200


def test_a_broken_line_of_boxes_is_an_error_at_the_start_and_locks_nobody_out_later(tmp_path: Path) -> None:
    path = tmp_path / "boxes.jsonl"
    good = f'{{"box_id":"b1","site_id":"s1","token_sha256":"{hashlib.sha256(b"t").hexdigest()}"}}\n'
    path.write_text(good)
    boxes = BoxTokens(path)
    path.write_text(good + '{"box_id":')
    assert boxes.box_of("t") is not None
    with pytest.raises(ConfigurationError, match="line 2"):
        BoxTokens(path)


def test_a_box_has_a_quota_for_what_no_incident_names(tmp_path: Path) -> None:
    world = World(tmp_path, quota_bytes=400_000)
    assert _put(world, 0, len(CLIP)).status_code == 201
    other = b"y" * 100_000
    url = f"/edge/v1/evidence/{hashlib.sha256(other).hexdigest()}"
    answer = _put(world, 0, 100_000, total=100_000, url=url, data=other)
    assert (answer.status_code, answer.json()["code"]) == (507, "over_limit")
    _name(world)
    assert _put(world, 0, 100_000, total=100_000, url=url, data=other).status_code == 201


def test_what_never_came_expires_and_what_nobody_named_is_deleted(world: World) -> None:
    incident_id = world.take(make_finding(evidence=(still("c" * 64),)))[0]
    _put(world, 0, len(CLIP))
    world.clock.advance(KEPT_ON_BOX_MS + 1)
    assert world.uploads.keep_house() == 1
    assert not world.files.has(SHA)
    with world.store.write() as connection:
        assert expire_evidence(connection, world.clock()) == [("s1", "c" * 64)]
    assert _states(world, incident_id) == ["expired"]


def test_what_is_past_its_retention_is_deleted_and_says_so(world: World) -> None:
    incident_id = _name(world)
    _put(world, 0, len(CLIP))
    world.clock.advance(1000)
    assert world.uploads.keep_house(retention_ms=2000) == 0
    world.clock.advance(1001)
    assert world.uploads.keep_house(retention_ms=2000) == 1
    assert _states(world, incident_id) == ["expired"]
    assert world.client("wang").get(f"/api/v1/evidence/{SHA}").status_code == 404


@pytest.mark.service
def test_a_box_that_dies_in_the_middle_continues_where_its_bytes_ended(tmp_path: Path) -> None:
    world = wall_world(tmp_path)
    with served(world) as server:
        head = (
            f"PUT {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BOX_TOKEN}\r\n"
            f"Content-Range: bytes 0-{len(CLIP) - 1}/{len(CLIP)}\r\nContent-Length: {len(CLIP)}\r\n\r\n"
        )
        with socket.create_connection((server.host, server.port)) as box:
            box.sendall(head.encode() + CLIP[:130_000])
        with httpx.Client(base_url=server.url, headers=BOX) as client:
            offset = 0
            for _ in range(200):
                answer = client.head(URL)
                offset = int(answer.headers.get("upload-offset", "0"))
                if answer.status_code == 200 and offset:
                    break
            assert 0 < offset <= 130_000
            headers = {"Content-Range": f"bytes {offset}-{len(CLIP) - 1}/{len(CLIP)}"}
            assert client.put(URL, content=CLIP[offset:], headers=headers).status_code == 201
    assert b"".join(EvidenceFiles(tmp_path / "evidence").read(SHA)) == CLIP


@pytest.mark.parametrize("at", [2, 60, -1])
def test_a_damaged_file_is_told_to_reader_and_operators_and_is_not_shown(world: World, tmp_path: Path, at: int) -> None:
    _name(world)
    _put(world, 0, len(CLIP))
    (path,) = tmp_path.rglob(f"present/*/{SHA}")
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    wanted = {"Range": f"bytes={len(CLIP) - 9}-"} if at == -1 else {}
    answer = world.client("wang").get(f"/api/v1/evidence/{SHA}", headers=wanted)
    assert (answer.status_code, answer.json()["code"]) == (500, "evidence_damaged")
    with world.store.read() as connection:
        (alarm,) = standing_alarms(connection)
    assert (alarm.code, alarm.subject) == (AlarmCode.STORE_DAMAGED, "evidence")
    assert f"{path} is damaged or of another key" in alarm.detail


@settings(max_examples=40, deadline=None)
@given(size=st.integers(0, 3 * CHUNK_BYTES), data=st.data())
def test_any_range_of_a_sealed_file_is_those_bytes(
    tmp_path_factory: pytest.TempPathFactory, size: int, data: Any
) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    plain, key = os.urandom(size), os.urandom(32)
    seal(folder / "f", key, "name", size, [plain[:1000], plain[1000:]])
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size + 10))
    assert b"".join(unseal(folder / "f", key, "name", start, stop)) == plain[start:stop]


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "name", "key"])
def test_a_damaged_sealed_file_is_refused_not_shown(tmp_path: Path, damage: str) -> None:
    key, path = os.urandom(32), tmp_path / "f"
    plain = os.urandom(2 * CHUNK_BYTES + 10)
    seal(path, key, "name", len(plain), [plain])
    raw, header, step = bytearray(path.read_bytes()), 44, CHUNK_BYTES + 16
    if damage == "flip":
        raw[header + 5] ^= 1
    if damage == "cut":
        del raw[-1:]
    if damage == "swap":
        raw[header : header + step], raw[header + step : header + 2 * step] = (
            raw[header + step : header + 2 * step],
            raw[header : header + step],
        )
    path.write_bytes(raw)
    name, used = ("other" if damage == "name" else "name"), (os.urandom(32) if damage == "key" else key)
    with pytest.raises(SealBroken):
        b"".join(unseal(path, used, name))


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.integers(1, 200), min_size=1, max_size=5), cut=st.integers(0, 1200), data=st.data())
def test_a_part_torn_anywhere_keeps_every_whole_record(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], cut: int, data: Any
) -> None:
    path, key = tmp_path_factory.mktemp("part") / "p", os.urandom(32)
    plain = [os.urandom(size) for size in pieces]
    part = Part(path, key, "name")
    for piece in plain:
        part.append(piece)
    part.close()
    raw = path.read_bytes()
    path.write_bytes(raw[: min(cut, len(raw))])
    part = Part(path, key, "name")
    held = b"".join(part.read())
    assert b"".join(plain).startswith(held)
    assert len(held) == part.size_bytes
    part.append(b"more")
    assert b"".join(part.read()) == held + b"more"
    part.close()
    ends = [16]
    for size in pieces:
        ends.append(ends[-1] + 4 + size + 16)
    whole = max((n for n, end in enumerate(ends) if end <= cut), default=0)
    assert len(held) == sum(pieces[:whole])


def test_the_key_file_is_made_once_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert load_key(path) == load_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="5 bytes"):
        load_key(path)
