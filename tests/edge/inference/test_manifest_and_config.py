from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from app.main import linli
from contracts.errors import ConfigurationError, LinliError, Permanent
from contracts.events import ObjectLabel
from edge.camera import AnalyserName, load_camera
from edge.config import load_config
from edge.inference.manifest import load_manifest, load_model
from edge.inference.model_check import check_model
from edge.token import BoxRegistration, make_token, register
from edge.uplink.upload import read_token
from tests.edge.factories import write_video
from tests.edge.models import MANIFESTS, shared_manifest

MANIFEST = """
name = "m"
file = "m.onnx"
url = "https://example.org/m.onnx"
sha256 = "{sha256}"
licence = "Apache-2.0"
family = "yolox"
demo_only = {demo_only}
labels = ["person", "e-bike", "unicorn"]
[input]
name = "images"
width = 64
height = 64
"""


def write_manifest(folder: Path, model: bytes | None = b"no model", *, demo_only: bool = False) -> Path:
    text = MANIFEST.format(sha256=hashlib.sha256(model or b"").hexdigest(), demo_only=str(demo_only).lower())
    path = folder / "m.toml"
    path.write_text(text)
    if model is not None:
        (folder / "m.onnx").write_bytes(model)
    return path


def write_box(folder: Path, *, camera: str, box: str = "", extra: str = "") -> Path:
    write_video(folder / "v.mp4", 5)
    path = folder / "box.toml"
    path.write_text(f'[box]\nid = "b1"\nsite = "s1"\ndata = "data"\n{box}\n{extra}\n[[camera]]\nid = "c1"\n{camera}\n')
    return path


FALLS = 'source = "v.mp4"\nanalysers = ["high_altitude_throw"]\n'
ZONES = """source = "v.mp4"
analysers = ["object_zones"]
model = "m.toml"
[[camera.zone]]
place_id = "hall"
polygon = [[0, 0], [1, 0], [1, 1]]
"""


def test_the_smallest_camera_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_text('[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\n')
    camera = load_camera(path)
    assert (camera.id, camera.analysers, camera.place) == ("c1", (AnalyserName.HIGH_ALTITUDE_THROW,), "c1")
    assert not camera.facade.calibrated
    assert not camera.needs_detector


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "camera"),
        ("[camera", "TOML"),
        ('[camera]\nid = "c1"\n', "analysers"),
        ('[camera]\nid = "c1"\nanalysers = ["flying_saucers"]\n', "flying_saucers"),
        ('[camera]\nid = "Ü 1"\nanalysers = ["high_altitude_throw"]\n', "is no id"),
        ('[camera]\nid = "c1"\nanalysers = []\n', "analysers is empty"),
        ('[camera]\nid = "c1"\nanalysers = ["passages"]\n', r"needs at least one \[\[camera.line\]\]"),
        ('[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\nsorce = "x"\n', "sorce"),
        (
            '[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\n[[camera.mask]]\npolygon = [[0, 0], [1, 2]]\n',
            "at least 3 corners",
        ),
    ],
)
def test_a_wrong_camera_file_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        load_camera(path)


def test_a_box_is_read_with_paths_relative_to_its_file(tmp_path: Path) -> None:
    config = load_config(write_box(tmp_path, camera=FALLS))
    assert config.box.data == str(tmp_path / "data")
    assert config.camera[0].source == str(tmp_path / "v.mp4")
    assert config.mqtt.url == "mqtt://127.0.0.1:1883"


@pytest.mark.parametrize(
    ("camera", "extra", "says"),
    [
        ('analysers = ["high_altitude_throw"]', "", "source is missing"),
        ('source = "nowhere.mp4"\nanalysers = ["high_altitude_throw"]', "", "does not exist"),
        (ZONES.replace('model = "m.toml"\n', ""), "", "model is missing"),
        (FALLS, '[mqtt]\nurl = "http://x"', r"\[mqtt\] url = 'http://x': expected mqtt://"),
        (FALLS, '[mqtt]\nurll = "mqtt://x"', "urll"),
        (FALLS, '[console]\nurl = "http://127.0.0.1:1"', "linli edge token"),
        (FALLS, '[console]\nurl = "ftp://x"\ntoken_file = "t"', "expected http://"),
        (FALLS, "[evidence]\nretention_hours = 100", "retention_hours"),
        (FALLS + '[[camera]]\nid = "c1"\n' + FALLS, "", "used twice"),
    ],
)
def test_a_wrong_box_configuration_says_what_is_wrong(tmp_path: Path, camera: str, extra: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_config(write_box(tmp_path, camera=camera, extra=extra))


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = write_box(tmp_path, camera='analysers = ["passages"]', extra='[mqtt]\nurl = "x"')
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert all(
        word in str(caught.value) for word in ("source is missing", "camera.line", "model is missing", "[mqtt] url")
    )


def test_a_demo_model_is_refused_on_a_real_source_and_a_model_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, demo_only=True)
    with pytest.raises(ConfigurationError, match=r"demo_only.*yolox_nano_416"):
        load_config(write_box(tmp_path, camera=ZONES))
    assert load_config(write_box(tmp_path, camera="simulated = true\n" + ZONES)).camera[0].simulated


def test_labels_become_what_linli_calls_them(tmp_path: Path) -> None:
    manifest = load_manifest(write_manifest(tmp_path))
    assert manifest.classes() == (ObjectLabel.PERSON, ObjectLabel.E_BIKE, None)
    assert manifest.model == f"m@{manifest.sha256}"
    mapped = write_manifest(tmp_path)
    mapped.write_text(mapped.read_text() + '[map]\nunicorn = "animal"\n')
    assert load_manifest(mapped).classes()[2] is ObjectLabel.ANIMAL


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('family = "yolox"', 'family = "yoloxx"', "family 'yoloxx' is unknown: did you mean 'yolox'"),
        ('licence = "Apache-2.0"\n', "", "licence"),
        ('file = "m.onnx"', 'file = "../m.onnx"', "plain name"),
        ("width = 64", "width = 0", "width"),
        ('name = "m"', 'name = "a-name-longer-than-15"', "length <= 15"),
        ("[input]", '[map]\nghost = "person"\n[input]', "ghost"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write_manifest(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=says):
        load_manifest(path)


def test_a_model_with_another_hash_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"something else")
    with pytest.raises(Permanent, match=r"SHA-256 is .*, expected"):
        load_model(path)
    (tmp_path / "m.onnx").unlink()
    with pytest.raises(ConfigurationError, match=r"fetch it from https://example\.org"):
        load_model(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="onnxruntime cannot load it"):
        check_model(write_manifest(tmp_path, b"this is no model"))


def test_models_check_tells_the_good_from_the_bad_and_exits_1(tmp_path: Path) -> None:
    good = shared_manifest("person_192", tmp_path)
    bad = write_manifest(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"something else")
    result = CliRunner().invoke(linli, ["models", "check", str(good), str(bad)])
    assert result.exit_code == 1
    assert "person_192: ok, yolox, 192×192, 1 labels (person)" in result.stdout
    assert result.stdout.count("\n") == 1
    assert "SHA-256" in result.stderr
    assert CliRunner().invoke(linli, ["models", "check", str(good)]).exit_code == 0


def test_a_manifest_of_another_input_or_labels_is_refused(tmp_path: Path) -> None:
    path = shared_manifest("person_192", tmp_path)
    text = path.read_text()
    for old, new, says in (
        ("width = 192", "width = 200", "input 'images'"),
        ('name = "images"', 'name = "picture"', "names input 'picture'"),
        ('"person",\n', '"person", "cat",\n', r"\(1, 756, 6\).*expected one, \(1, 756, 7\): 2 labels"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(Permanent, match=says):
            check_model(path)


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_manifest_is_complete(path: Path) -> None:
    manifest = load_manifest(path)
    assert manifest.name == path.stem
    assert manifest.licence
    assert manifest.measured
    assert manifest.demo_only or manifest.url.startswith("https://")


def test_a_token_is_secret_registered_by_its_hash_and_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "b1.token"
    registration = make_token("b1", "s1", out)
    token = read_token(out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert registration == BoxRegistration("b1", "s1", hashlib.sha256(token.encode()).hexdigest())
    path = register(registration, tmp_path / "console")
    register(registration, tmp_path / "console")
    assert [msgspec.json.decode(line, type=BoxRegistration) for line in path.read_bytes().splitlines()] == [
        registration
    ] * 2
    assert token not in path.read_text()
    with pytest.raises(ConfigurationError, match="never overwritten"):
        make_token("b1", "s1", out)
    assert read_token(out) == token


@pytest.mark.parametrize("content", [None, "", "two words"])
def test_a_token_file_without_a_token_says_how_to_make_one(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LinliError, match="linli edge token"):
        read_token(path)
