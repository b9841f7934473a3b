"""A camera's address: what cannot be read is refused with the way to write it, and no secret is ever shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from edge.capture.address import check_address, redact_url
from edge.config import load_config

SECRET = "Geh3im"
PASSWORDS = [
    "Geh3im#1",
    "Geh3im/1",
    "Geh3im?1",
    "Geh3im%1",
    "#Geh3im",
    "Geh3im%",
    "Geh3im%zz",
    "Ge/h3im?#x",
    "Geh3im x",
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_that_cuts_its_address_is_refused_and_its_escaped_form_is_not(password: str) -> None:
    fault = check_address(f"rtsp://admin:{password}@10.0.0.9:554/ch1")
    assert "%23" in fault
    assert "%25" in fault
    assert password not in fault
    assert check_address(f"rtsp://admin:{quote(password, safe='')}@10.0.0.9:554/ch1") == ""


@pytest.mark.parametrize(
    "good",
    [
        "rtsp://10.0.0.9/ch1",
        "rtsp://admin:p@ss@10.0.0.9/ch1",
        "rtsp://admin@cam-1.local:554/Streaming/Channels/101?transportmode=unicast&profile=1",
        "rtsp://10.0.0.9:554/user=admin&password=&channel=1&stream=0.sdp?real_stream",
        "rtsp://[fe80::1]:554/ch1",
    ],
)
def test_addresses_that_work_are_taken(good: str) -> None:
    assert check_address(good) == ""


SECRET_PLACES = [
    "rtsp://admin:{}@10.0.0.9/ch1",
    "rtsp://{}:admin@10.0.0.9/ch1",
    "rtsp://u:se?{}@10.0.0.9",
    "rtsp://u:se#{}@10.0.0.9/ch1",
    "rtsp://u:se/{}@10.0.0.9/ch1",
    "rtsp://u:{}/ch1",
    "rtsp://10.0.0.9:554/user=admin&password={}&channel=1&stream=0.sdp?real_stream",
    "rtsp://10.0.0.9/user=admin_password={}_channel=1",
    "rtsp://10.0.0.9/ch1?user=admin&pwd={}",
    "http://10.0.0.9/video?{}",
    "rtsp://10.0.0.9/ch1#{}",
    "rtsp://10.0.0.9/ch1?x=1;token={}",
    "rtsp://10.0.0.9/{}/ch1",
    "rtsp://10.0.0.9/admin/{}/ch1",
    "rtsp://10.0.0.9/key-{}",
    "rtsp://10.0.0.9/ch1_{}",
    "admin:{}@rtsp://10.0.0.9/ch1",
]
BROKEN = [
    "rtsp:/admin:{}@10.0.0.9/ch1",
    "rtsp//admin:{}@10.0.0.9/ch1",
    "rtsp:admin:{}@10.0.0.9/ch1",
    "rtsp;//admin:{}@10.0.0.9/ch1",
    "RTSP:\\\\admin:{}@10.0.0.9/ch1",
    "rstp:/admin:{}@10.0.0.9/ch1",
    "rstp//admin:{}@10.0.0.9/ch1",
    "rtsp/admin:{}@10.0.0.9/ch1",
    "admin:{}@10.0.0.9/ch1",
    "//admin:{}@10.0.0.9/ch1",
    "10.0.0.9/admin/{}/ch1",
    "10.0.0.9:554/user=admin_password={}_channel=1",
    " rtsp:/10.0.0.9/{}",
]
"""Addresses that lost their scheme, or never had it right."""


@given(st.sampled_from(SECRET_PLACES + BROKEN), st.text("abz019#/?%&=;:+@!$ü ", max_size=12))
def test_no_secret_is_ever_shown(place: str, rest: str) -> None:
    assert SECRET not in redact_url(place.format(SECRET + rest))


@pytest.mark.parametrize("password", ["a", "pw", "admin", "secret", "Kamera", "12345", "0815", "ch1pw", "livecam7x"])
@pytest.mark.parametrize("place", ["rtsp://h/{}/ch1", "rtsp://h/admin/{}/ch1", "rtsp://h/live/{}", "rtsp://h/ch1-{}"])
def test_no_short_password_in_a_path_is_shown(place: str, password: str) -> None:
    shown = redact_url(place.format(password))
    assert shown.startswith("rtsp://h/")
    assert password not in shown.removeprefix("rtsp://h/").replace("live", "").replace("ch1", "")


@pytest.mark.parametrize("place", BROKEN)
def test_a_box_with_an_address_without_its_scheme_is_refused_and_shows_no_secret(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(_box(tmp_path, place.format(SECRET).replace("\\", "\\\\")))
    assert SECRET not in str(caught.value)
    assert "camera 'c1'" in str(caught.value)
    assert "rtsp://" in str(caught.value)


def test_what_tells_cameras_apart_stays() -> None:
    for path in (
        "Streaming/Channels/101",
        "h264Preview_01_main",
        "live/ch00_0",
        "axis-media/media.amp",
        "onvif1",
        "11",
    ):
        assert redact_url(f"rtsp://u:p@cam-1.local/{path}") == f"rtsp://cam-1.local/{path}"
    assert [redact_url(path) for path in ("/films/gate 1.mp4", "rtsp/film.mp4")] == [
        "/films/gate 1.mp4",
        "rtsp/film.mp4",
    ]
    assert redact_url("rtsp://admin:x@10.0.0.9:554/ISAPI/Channels/101?subtype=0") == (
        "rtsp://10.0.0.9:554/ISAPI/Channels/101?subtype=0"
    )
    assert redact_url("film.mp4") == "film.mp4"


def _box(folder: Path, source: str) -> Path:
    path = folder / "box.toml"
    path.write_text(
        '[box]\nid = "b1"\nsite = "s1"\ndata = "data"\n[mqtt]\nurl = "mqtt://127.0.0.1:9"\n'
        f'[[camera]]\nid = "c1"\nsource = "{source}"\nanalysers = ["high_altitude_throw"]\n'
    )
    return path


@pytest.mark.parametrize("place", [place for place in SECRET_PLACES if place.startswith("rtsp://u:")])
def test_a_box_is_refused_with_one_sentence_that_holds_no_secret(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(_box(tmp_path, place.format(SECRET)))
    assert SECRET not in str(caught.value)
    assert "camera 'c1': source rtsp://" in str(caught.value)


def test_a_camera_that_does_not_answer_is_logged_without_its_secret(tmp_path: Path) -> None:
    """In a process of its own: the libraries below write past Python, to the file descriptors."""
    code = (
        "import threading, sys\n"
        "from edge.capture.capture import Capture, FrameQueue\n"
        "class Stop(threading.Event):\n"
        "    def wait(self, timeout=None):\n"
        "        self.set()\n"
        "        return True\n"
        "Capture(sys.argv[1], FrameQueue(1), now_ms=lambda: 1).run(Stop())\n"
    )
    for source in (f"rtsp://admin:{SECRET}@127.0.0.1:9/ch1", f"rtsp://127.0.0.1:9/user=a&password={SECRET}&channel=1"):
        done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True)
        assert "camera source failed" in done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
