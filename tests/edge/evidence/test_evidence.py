from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from contracts.errors import Permanent, Transient
from detectors.vision.geometry.shapes import Mask
from edge.capture.ring import FrameRing, decode_jpeg
from edge.evidence.cutter import BEFORE_MS, EvidenceCut, cut
from edge.evidence.evidence_store import EvidenceDisk, fault_of_folder, usage
from edge.evidence.redact import redacted
from edge.spool.box_clock import BoxClock
from tests.edge.factories import noise_frame
from tests.support.damage import spoilt

QUOTA = 10_000_000
NOBODY = np.zeros((0, 4), np.float32)


def still(data: bytes, at_ms: int = 1_000_000) -> EvidenceCut:
    return EvidenceCut(kind="still", mime="image/jpeg", data=data, from_ms=at_ms, to_ms=at_ms)


def filled_ring(seconds: int, *, start_ms: int = 1_000_000) -> FrameRing:
    """A ring fed 10 frames/s whose grey value is the number of tenths since the start."""
    ring = FrameRing()
    for n in range(seconds * 10):
        ring.add(np.full((48, 64, 3), n % 250, np.uint8), start_ms + n * 100)
    return ring


def test_a_cut_is_kept_encrypted_under_its_hash_and_comes_back(tmp_path: Path) -> None:
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    data = b"a picture of somebody" * 100
    ref = disk.keep(still(data))
    (file,) = (tmp_path / "e").glob("*.enc")
    assert ref.sha256 == hashlib.sha256(data).hexdigest() == file.stem
    assert (ref.kind, ref.bytes, ref.from_ms, ref.to_ms) == ("still", len(data), 1_000_000, 1_000_000)
    assert b"somebody" not in file.read_bytes()
    assert disk.read(ref.sha256) == data
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "e").iterdir()} == {0}
    assert (tmp_path / "e").stat().st_mode & 0o077 == 0
    assert EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA).read(ref.sha256) == data


def test_damage_another_key_and_absence_are_told_apart_from_good_evidence(tmp_path: Path) -> None:
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    ref = disk.keep(still(b"x" * 50))
    (tmp_path / "e" / "key").unlink()
    with pytest.raises(Permanent, match="damaged or of another key"):
        EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA).read(ref.sha256)
    (tmp_path / "e" / f"{ref.sha256}.enc").write_bytes(b"short")
    with pytest.raises(Permanent, match="damaged"):
        disk.read(ref.sha256)
    with pytest.raises(Permanent, match="no longer on the box"):
        disk.read("0" * 64)
    (tmp_path / "e" / "key").write_bytes(b"short")
    with pytest.raises(Transient, match="expected 32"):
        EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA).read(ref.sha256)


def test_a_sealed_file_that_was_damaged_anywhere_is_named_with_the_way_out(tmp_path: Path) -> None:
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    data = noise_frame(3).tobytes()
    ref = disk.keep(still(data))
    path = tmp_path / "e" / f"{ref.sha256}.enc"
    whole = path.read_bytes()
    for what, content in spoilt(whole, 60):
        path.write_bytes(content)
        if content == whole:
            assert disk.read(ref.sha256) == data, what
            continue
        with pytest.raises(
            Permanent, match=rf"damaged or of another key: delete .*{ref.sha256}\.enc, or put back the key"
        ):
            disk.read(ref.sha256)


def test_evidence_goes_by_age_and_then_the_oldest_by_quota(tmp_path: Path) -> None:
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=2_500, max_age_ms=1_000_000)
    refs = [disk.keep(still(bytes([n]) * 1000, at_ms=n * 400_000)) for n in range(4)]
    assert disk.sweep(1_200_000) == 2  # one too old, one over the quota
    assert [(tmp_path / "e" / f"{ref.sha256}.enc").exists() for ref in refs] == [False, False, True, True]
    assert disk.sweep(1_200_000) == 0
    assert disk.sweep(9_999_999) == 2
    assert usage(tmp_path / "e").files == 0
    assert disk.dropped == 4


def test_evidence_dated_in_the_future_goes_like_any_other(tmp_path: Path) -> None:
    disk, day_ms = EvidenceDisk(tmp_path / "e", quota_bytes=100, max_age_ms=1_000), 86_400_000
    disk.keep(still(b"a" * 10, at_ms=400 * day_ms))  # the clock was a year ahead
    assert disk.sweep(5_000) == 0
    assert disk.sweep(6_000) == 0
    assert disk.sweep(6_001) == 1
    for n in range(3):
        disk.keep(still(bytes([n]) * 10, at_ms=400 * day_ms + n))
        disk.sweep(7_000)
    assert usage(tmp_path / "e").bytes <= 100


@pytest.mark.parametrize("call", ["unlink", "stat", "utime"])
def test_a_file_that_the_disk_will_not_let_go_keeps_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder, hour_ms = tmp_path / "e", 3_600_000
    disk = EvidenceDisk(folder, quota_bytes=5_000, max_age_ms=hour_ms)
    refs = [disk.keep(still(bytes([n]) * 1_000, at_ms=hour_ms + n)) for n in range(10)]
    bad = folder / f"{refs[0].sha256}.enc"
    module = os if call == "utime" else Path
    real = getattr(module, call)

    def fails(path: Path, *given: object, **named: object) -> object:
        if path == bad:
            raise OSError(5, "Input/output error")
        return real(path, *given, **named)

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(module, call, fails)
        assert (
            disk.sweep(hour_ms - 1 if call == "utime" else hour_ms + 10) == {"unlink": 6, "stat": 5, "utime": 6}[call]
        )
        assert usage(folder).files == {"unlink": 4, "stat": 4, "utime": 4}[call]
        assert (disk.sweep(9 * hour_ms), disk.stuck) == (
            4 if call == "utime" else 3 + (call == "stat"),
            call != "utime",
        )
    assert any(log["log_level"] == "error" and log.get("files") == 1 for log in logs) is (call != "utime")
    assert (disk.sweep(9 * hour_ms), disk.stuck, usage(folder).files) == (call != "utime", 0, 0)


@pytest.mark.parametrize("before_ms", [60_000, 4_000_000_000_000])
def test_evidence_of_a_time_before_the_clock_was_set_is_as_old_as_it_was(tmp_path: Path, before_ms: int) -> None:
    wall = {"ms": before_ms, "up": 30_000}
    clock = BoxClock("boot", lambda: wall["ms"], lambda: wall["up"])
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA, max_age_ms=3_600_000, clock=clock)
    disk.keep(still(b"a", at_ms=before_ms))
    assert disk.sweep(wall["ms"]) == 0
    wall.update(ms=1_795_000_000_000, up=90_000)  # a minute later it is set
    assert [disk.sweep(wall["ms"]) for _ in range(2)] == [0, 0]
    wall.update(ms=wall["ms"] + 3_540_000, up=wall["up"] + 3_540_000)
    assert disk.sweep(wall["ms"]) == 0
    wall.update(ms=wall["ms"] + 1, up=wall["up"] + 1)
    assert disk.sweep(wall["ms"]) == 1


def test_a_file_left_half_written_by_a_crash_is_removed(tmp_path: Path) -> None:
    EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    (tmp_path / "e" / "abc.part").write_bytes(b"half")
    EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    assert [path.name for path in (tmp_path / "e").iterdir()] == ["key"]


def test_a_half_written_file_that_cannot_be_removed_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "e" / "abc.part").mkdir(parents=True)  # unlink fails, as on a card that became read-only
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    assert disk.read(disk.keep(still(b"a")).sha256) == b"a"


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 33])
def test_a_key_that_cannot_be_used_is_said_and_used_as_soon_as_it_can(tmp_path: Path, key: bytes) -> None:
    folder = tmp_path / "e"
    disk = EvidenceDisk(folder, quota_bytes=QUOTA)
    ref, right = disk.keep(still(b"a")), (folder / "key").read_bytes()
    (folder / "key").write_bytes(key)
    with capture_logs() as logs:
        disk = EvidenceDisk(folder, quota_bytes=QUOTA)
    assert [(log["log_level"], "expected 32" in log["error"]) for log in logs] == [("error", True)]
    assert not disk.is_usable()
    assert "expected 32" in fault_of_folder(folder)
    with pytest.raises(Transient, match="expected 32"):
        disk.keep(still(b"b"))
    assert (disk.sweep(1_000), (folder / "key").read_bytes()) == (0, key)
    (folder / "key").write_bytes(right)
    assert (disk.read(ref.sha256), disk.is_usable(), fault_of_folder(folder)) == (b"a", True, "")


def test_a_folder_that_is_none_keeps_no_evidence_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"")
    disk = EvidenceDisk(tmp_path / "e", quota_bytes=QUOTA)
    assert (disk.is_usable(), disk.sweep(1_000), usage(tmp_path / "e").files) == (False, 0, 0)
    assert "cannot be written" in fault_of_folder(tmp_path / "e")
    assert fault_of_folder(tmp_path / "new") == ""


def test_the_clip_begins_before_what_happened_and_ends_with_it() -> None:
    ring = filled_ring(10)
    picture, clip = cut(ring, 1_006_000, 1_008_000)
    assert (picture.kind, picture.from_ms, picture.to_ms) == ("still", 1_008_000, 1_008_000)
    assert abs(int(decode_jpeg(picture.data).mean()) - 80) <= 2
    assert (clip.kind, clip.from_ms, clip.to_ms) == ("clip", 1_006_000 - BEFORE_MS + 100, 1_008_000)
    with av.open(io.BytesIO(clip.data), "r") as container:
        frames = [(round(f.time * 1000), f.to_ndarray(format="bgr24").mean()) for f in container.decode(video=0)]
    assert [at_ms for at_ms, _ in frames] == [*range(0, 3_400, 200), *range(3_400, 5_901, 100)]
    assert abs(frames[0][1] - 21) < 4
    assert abs(frames[-1][1] - 80) < 4


def test_a_light_clip_shows_the_same_time_at_half_the_size_and_five_frames_a_second() -> None:
    picture, clip = cut(filled_ring(10), 1_006_000, 1_008_000, light=True)
    assert decode_jpeg(picture.data).shape == (48, 64, 3)
    assert (clip.from_ms, clip.to_ms) == (1_002_000, 1_008_000)
    with av.open(io.BytesIO(clip.data), "r") as container:
        frames = [(round(f.time * 1000), f.width, f.height) for f in container.decode(video=0)]
    assert frames == [(at_ms, 32, 24) for at_ms in range(0, 6_001, 200)]


def test_with_a_young_ring_the_clip_is_shorter_and_with_an_empty_one_there_is_none() -> None:
    assert [piece.from_ms for piece in cut(filled_ring(1), 1_000_500, 1_000_900)] == [1_000_900, 1_000_000]
    assert cut(FrameRing(), 0, 1_000) == []


def test_the_ring_is_bounded_in_time_rate_and_bytes() -> None:
    ring = filled_ring(30)
    assert len(ring.between(0, 10**9)) == 121
    assert not ring.wants(1_029_900 + 30)
    assert ring.wants(1_029_900 + 66)
    small = FrameRing(max_bytes=30_000)
    for n in range(20):
        small.add(noise_frame(n), n * 100)
    assert 0 < sum(len(frame.jpeg) for frame in small.between(0, 10**9)) <= 30_000


def test_a_clock_set_back_begins_the_ring_anew() -> None:
    ring = filled_ring(5)
    ring.add(np.zeros((48, 64, 3), np.uint8), 10)
    assert [frame.at_ms for frame in ring.between(0, 10**9)] == [10]


def test_a_person_is_pixelated_and_the_rest_of_the_picture_is_untouched() -> None:
    frame = noise_frame(1, 200, 200)
    shown = redacted(frame, (), np.asarray([[50, 50, 90, 150]], np.float32), NOBODY)
    assert len(np.unique(shown[50:150, 50:90].reshape(-1, 3), axis=0)) <= 6 * 20
    assert np.array_equal(shown[:, 120:], frame[:, 120:])
    assert np.array_equal(frame, noise_frame(1, 200, 200))


def test_the_vehicle_stays_visible_but_no_face_over_it() -> None:
    frame = noise_frame(2, 200, 200)
    person, bike = np.asarray([[50, 20, 100, 160]], np.float32), np.asarray([[30, 60, 180, 190]], np.float32)
    shown = redacted(frame, (), person, bike)
    assert np.array_equal(shown[120:180, 40:170], frame[120:180, 40:170])
    assert len(np.unique(shown[20:90, 50:100].reshape(-1, 3), axis=0)) < 200


def test_masked_windows_show_one_colour_whatever_is_behind_them() -> None:
    mask = Mask(((0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (0.25, 0.5)))
    shown = redacted(noise_frame(3, 200, 200), (mask,), NOBODY, NOBODY)
    assert len(np.unique(shown[50:100, 50:100].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(shown[110:, 110:].reshape(-1, 3), axis=0)) > 1000


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize(("before", "after"), [((64, 48), (128, 72)), ((640, 360), (352, 288))])
def test_a_clip_over_a_change_of_size_is_one_film_of_the_newer_size(
    before: tuple[int, int], after: tuple[int, int], light: bool
) -> None:
    ring = FrameRing()
    for n in range(60):
        width, height = before if n < 30 else after
        ring.add(np.full((height, width, 3), 4 * n, np.uint8), n * 100)
    still_cut, clip = cut(ring, 3_000, 5_000, light=light)
    with av.open(io.BytesIO(clip.data), "r") as film:
        sizes = {(frame.width, frame.height) for frame in film.decode(video=0)}
    assert sizes == {tuple(side // 2 if light else side for side in after)}
    assert decode_jpeg(still_cut.data).shape[1::-1] == after
