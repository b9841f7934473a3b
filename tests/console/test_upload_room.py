"""Room for uploads: reserved before the first byte, small files counted, sizes as named, and a floor on the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from contracts.errors import Rejected
from evidence.content_range import ContentRange
from evidence.files import EvidenceFiles, UploadBusy
from evidence.upload_room import QuotaReached, UploadRoom, cost_of
from identity.box_credentials import Box
from tests.console.support import BOX_TOKEN, World
from tests.incidents.builders import make_finding, still

MIB = 1024 * 1024
HASHES = [hashlib.sha256(bytes([n])).hexdigest() for n in range(20)]
PICTURE = b"a picture"
SHA = hashlib.sha256(PICTURE).hexdigest()


class _Disk(EvidenceFiles):
    """Files on a disk with so much room."""

    free = 10**12

    def free_bytes(self) -> int:
        return self.free


@pytest.fixture
def disk(tmp_path: Path) -> _Disk:
    return _Disk(tmp_path / "evidence")


def _reserved(room: UploadRoom, sizes: list[int], *, named: bool = False) -> list[bool]:
    """Whether each of several uploads at once got room."""
    found = []
    for sha256, size in zip(HASHES, sizes, strict=False):
        try:
            room.reserve("s1~b1", sha256, size, [], named=named)
        except QuotaReached:
            found.append(False)
        else:
            found.append(True)
    return found


def test_uploads_at_once_reserve_what_they_declare(disk: _Disk) -> None:
    room = UploadRoom(disk, 1024 * MIB, 0)
    assert _reserved(room, [200 * MIB] * 8) == [True] * 5 + [False] * 3
    room.leave("s1~b1", HASHES[0])
    room.reserve("s1~b1", HASHES[9], 200 * MIB, [], named=False)


def test_what_another_box_has_under_way_is_not_counted(disk: _Disk) -> None:
    room = UploadRoom(disk, 300 * MIB, 0)
    room.reserve("s1~b1", HASHES[0], 200 * MIB, [], named=False)
    room.reserve("s1~b2", HASHES[0], 200 * MIB, [], named=False)
    room.reserve("s2~b1", HASHES[0], 200 * MIB, [], named=False)


def test_one_upload_twice_at_once_is_busy(disk: _Disk) -> None:
    room = UploadRoom(disk, 300 * MIB, 0)
    room.reserve("s1~b1", HASHES[0], MIB, [], named=False)
    with pytest.raises(UploadBusy):
        room.reserve("s1~b1", HASHES[0], MIB, [], named=False)


def test_tiny_files_count_more_than_their_bytes(disk: _Disk) -> None:
    room = UploadRoom(disk, MIB, 0)
    with pytest.raises(QuotaReached):
        room.reserve("s1~b1", HASHES[0], 1, [1] * 15, named=False)
    room.reserve("s1~b1", HASHES[0], 1, [1] * 14, named=False)
    assert 15 * cost_of(1) <= MIB < 16 * cost_of(1)


def test_parts_that_nobody_continues_are_counted(disk: _Disk) -> None:
    for sha256 in HASHES[:3]:
        with disk.upload("s1~b1", sha256, 0) as part:
            part.append(bytes(100_000))
    with pytest.raises(QuotaReached):
        UploadRoom(disk, 600_000, 0).reserve("s1~b1", HASHES[9], 100_000, [], named=False)
    UploadRoom(disk, 600_000, 0).reserve("s1~b1", HASHES[0], 100_000, [], named=False)  # itself one of them


@pytest.mark.parametrize("named", [False, True])
def test_the_disk_keeps_its_floor_whoever_uploads(disk: _Disk, *, named: bool) -> None:
    disk.free = 1000 * MIB
    assert _reserved(UploadRoom(disk, 10**12, 500 * MIB), [100 * MIB] * 4, named=named) == [True, True, False, False]
    disk.free = 499 * MIB
    assert _reserved(UploadRoom(disk, 10**12, 500 * MIB), [1], named=named) == [False]


def test_a_named_file_must_have_the_size_that_events_give_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.take(make_finding(evidence=(still(SHA, bytes=len(PICTURE)),)))
    url, box = f"/edge/v1/evidence/{SHA}", {"Authorization": f"Bearer {BOX_TOKEN}"}
    for total in (len(PICTURE) - 1, len(PICTURE) + 1, 268_435_456):
        answer = world.client().put(url, content=b"a", headers={**box, "Content-Range": f"bytes 0-0/{total}"})
        assert (answer.status_code, answer.json()["code"]) == (422, "out_of_range")
    whole = {**box, "Content-Range": f"bytes 0-{len(PICTURE) - 1}/{len(PICTURE)}"}
    assert world.client().put(url, content=PICTURE, headers=whole).status_code == 201


def test_room_is_given_back_whatever_becomes_of_an_upload(tmp_path: Path) -> None:
    world = World(tmp_path)
    url, box = f"/edge/v1/evidence/{SHA}", {"Authorization": f"Bearer {BOX_TOKEN}"}
    pieces = [("bytes 0-0/9", b"aa", 413), ("bytes 0-8/9", b"x" * 9, 422), ("bytes 0-0/9", b"a", 202)]
    for range_, body, status in pieces:
        assert world.client().put(url, content=body, headers={**box, "Content-Range": range_}).status_code == status
        assert world.uploads._room._reserved == {}


def test_a_refused_range_reserves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, quota_bytes=100)
    box = Box(box_id="box-1", site_id="s1", token_sha256="")
    with pytest.raises(Rejected):
        world.uploads.begin(box, SHA, ContentRange(0, 9, 9))
    assert world.uploads._room._reserved == {}
