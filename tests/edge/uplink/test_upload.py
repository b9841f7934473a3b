from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import Transient
from contracts.events import EvidenceRef
from edge.evidence.cutter import EvidenceCut
from edge.evidence.evidence_store import EvidenceDisk
from edge.spool.box_db import BoxDb
from edge.spool.spool import Spool
from edge.uplink import upload as upload_module
from edge.uplink.upload import ConsoleConfig, Uploader, UploadStep, after_head, after_put
from edge.uplink.upload_queue import UploadQueue
from tests.edge.console_server import TOKEN, Console, console_server
from tests.edge.factories import reported

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()


class Box:
    """Disk, list and uploader of a box with one piece of evidence to upload."""

    def __init__(self, folder: Path, url: str, token: str = TOKEN) -> None:
        self.now = 1_000_000
        self.folder = folder
        self.disk = EvidenceDisk(folder / "e", quota_bytes=10**7)
        db = BoxDb(folder / "box.db")
        self.queue = UploadQueue(db)
        self.ref: EvidenceRef = self.disk.keep(
            EvidenceCut(kind="clip", mime="video/mp4", data=DATA, from_ms=1, to_ms=2)
        )
        self.spool = Spool(db, box_id="b1", site_id="s1", place_id="b1", now_ms=0)
        self.spool.add(reported(1), (self.ref,))
        (folder / "token").write_text(token)
        config = ConsoleConfig(url=url, token_file=str(folder / "token"))
        self.uploader = Uploader(config, queue=self.queue, disk=self.disk, now_ms=lambda: self.now)

    def try_once(self) -> bool:
        due = self.queue.next_due(self.now)
        assert due is not None
        return self.uploader.try_once(due)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "CHUNK_BYTES", 4_000)


def test_evidence_arrives_in_chunks_and_leaves_the_list(tmp_path: Path) -> None:
    with console_server() as console:
        box = Box(tmp_path, console.url)
        assert box.try_once()
        assert console.complete == {SHA256: DATA}
        assert console.requests == [("HEAD", 200), ("PUT", 202), ("PUT", 202), ("PUT", 201)]
        assert (box.queue.waiting(), box.uploader.uploaded, box.uploader.failed) == (0, 1, 0)


def _half_there(console: Console) -> None:
    console.parts[SHA256] = DATA[:5_000]


def _all_there(console: Console) -> None:
    console.complete[SHA256] = DATA


@pytest.mark.parametrize(
    ("before", "requests"),
    [
        (_half_there, [("HEAD", 200), ("PUT", 202), ("PUT", 201)]),
        (_all_there, [("HEAD", 200)]),
    ],
)
def test_an_upload_continues_where_it_stopped(
    tmp_path: Path, before: Callable[[Console], None], requests: list[tuple[str, int]]
) -> None:
    with console_server() as console:
        before(console)
        box = Box(tmp_path, console.url)
        assert box.try_once()
        assert (console.complete, console.requests) == ({SHA256: DATA}, requests)


@pytest.mark.parametrize("fault", [500, 503, 422, 401, 403, 423, 302])
def test_a_fault_is_tried_again_later_and_later(tmp_path: Path, fault: int) -> None:
    with console_server() as console:
        console.faults = [fault, fault]
        box = Box(tmp_path, console.url)
        assert not box.try_once()
        assert box.queue.next_due(box.now) is None
        box.now += 1_000
        assert not box.try_once()
        box.now += 1_000
        assert box.queue.next_due(box.now) is None
        box.now += 1_000
        assert box.try_once()
        assert console.complete == {SHA256: DATA}
        assert (box.uploader.uploaded, box.uploader.failed, box.queue.waiting()) == (1, 2, 0)


def test_a_wrong_token_and_a_dead_console_keep_the_evidence_on_the_list(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with console_server() as console:
        box = Box(tmp_path / "a", console.url, token="wrong")
        assert not box.try_once()
        assert console.complete == {}
    box.now += 60_000
    assert not box.try_once()
    assert box.queue.waiting() == 1


def test_evidence_that_is_gone_or_damaged_leaves_the_list_and_is_counted(tmp_path: Path) -> None:
    with console_server() as console:
        box = Box(tmp_path, console.url)
        box.disk.sweep(10**15)
        assert box.try_once()
        assert (box.uploader.expired, box.uploader.uploaded, box.queue.waiting()) == (1, 0, 0)
        assert console.requests == []


@pytest.mark.parametrize(
    ("status", "offset", "step"),
    [
        (200, 7, UploadStep(finished=False, offset=7)),
        (200, 10, UploadStep(finished=True, offset=10)),
        (200, None, UploadStep(finished=False, offset=0)),
        (404, None, UploadStep(finished=False, offset=0)),
    ],
)
def test_what_an_answer_to_head_means(status: int, offset: int | None, step: UploadStep) -> None:
    assert after_head(status, offset, 10) == step


@pytest.mark.parametrize(
    ("status", "offset", "step"),
    [
        (201, None, UploadStep(finished=True)),
        (200, 10, UploadStep(finished=True)),
        (202, 4, UploadStep(finished=False, offset=4)),
        (202, None, UploadStep(finished=False, offset=8)),
        (409, 2, UploadStep(finished=False, offset=2)),
    ],
)
def test_what_an_answer_to_put_means(status: int, offset: int | None, step: UploadStep) -> None:
    assert after_put(status, offset, 8) == step


@pytest.mark.parametrize("status", [409, 422, 401, 403, 400, 413, 423, 500, 503, 301])
def test_every_other_answer_is_tried_again(status: int) -> None:
    with pytest.raises(Transient):
        after_put(status, None, 8)
    with pytest.raises(Transient):
        after_head(500, None, 8)


class _Stop(threading.Event):
    """Never waits; notes for how long it was asked to, and is set after so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._times = times

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        if len(self.waited) >= self._times:
            self.set()
        return self.is_set()


def test_a_console_that_refuses_the_token_is_asked_ever_more_seldom_whatever_waits(tmp_path: Path) -> None:
    with console_server() as console:
        box, stop = Box(tmp_path, console.url, token="wrong"), _Stop(8)
        for n in range(40):
            ref = box.disk.keep(EvidenceCut(kind="clip", mime="video/mp4", data=bytes([n]), from_ms=1, to_ms=2))
            box.spool.add(reported(2), (ref,))
        box.uploader.run(stop)
        assert len(console.requests) == 8
    assert sum(stop.waited) > 150
    assert max(stop.waited) <= 60


def test_an_entry_that_was_put_off_by_a_clock_that_is_right_again_is_tried(tmp_path: Path) -> None:
    with console_server() as console:
        box = Box(tmp_path, console.url)
        console.faults = [500]
        box.now += 60 * 86_400_000
        assert not box.try_once()
        box.now -= 60 * 86_400_000
        assert box.try_once()
