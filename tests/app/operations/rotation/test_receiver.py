"""A receiver's secret is exchanged while deliveries go on: both sign until the other side has the new one."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.main import exit_code, linli
from app.operations.rotation.exchange import SecretFile
from app.settings.loading import load_settings
from app.wiring.receivers import receivers_of
from contracts.secrets import Secret
from delivery.receiver import Receiver
from delivery.receivers.kind import ReadSecret, ReceiverKind
from delivery.receivers.kinds import KINDS
from delivery.receivers.webhook.stand_in import StandIn
from delivery.recording_receiver import RecordingReceiver
from system.next_secret import next_of
from tests.delivery.post import Post
from tests.incidents.builders import make_finding

pytestmark = pytest.mark.service
OLD = "the old secret of the grid"
SETTINGS = """
[[receiver]]
kind = "{kind}"
name = "grid"
{more}
secret_file = "secrets/grid"
"""


class Place:
    """A settings file with one receiver, its secret, and the receiver itself."""

    def __init__(self, folder: Path, stand_in: StandIn, kind: str = "webhook") -> None:
        self.folder, self.stand_in = folder, stand_in
        self.config, self.secret = folder / "linli.toml", folder / "secrets" / "grid"
        self.secret.parent.mkdir()
        self.secret.write_text(f"{OLD}\n", encoding="utf-8")
        self.secret.chmod(0o640)
        more = f'url = "{stand_in.url}"' if kind == "webhook" else ""
        self.config.write_text(SETTINGS.format(kind=kind, more=more), encoding="utf-8")

    def open(self) -> Receiver:
        ((_profile, receiver),) = receivers_of(load_settings(self.config))
        return receiver

    def rotate(self, *options: str, name: str = "grid") -> Result:
        return CliRunner().invoke(
            linli, ["secrets", "--config", str(self.config), "rotate", "receiver", name, *options]
        )

    def code(self, *options: str, name: str = "grid") -> int:
        return exit_code(["secrets", "--config", str(self.config), "rotate", "receiver", name, *options])

    def waiting(self) -> str:
        return next_of(self.secret).read_text(encoding="utf-8").strip()

    def present(self) -> str:
        return self.secret.read_text(encoding="utf-8").strip()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(OLD.encode()) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, stand_in: StandIn) -> Place:
    return Place(tmp_path, stand_in)


class Delivering:
    """One process that tells the receiver, opened once and never again."""

    def __init__(self, place: Place) -> None:
        self._post = Post(place.folder, place.open())
        self._place, self._told = place, 0

    def tells(self) -> bool:
        """Whether the next incident is taken at the first attempt."""
        self._told += 1
        self._post.take(*(make_finding(key=f"door-{self._told}", onset_ms=1_000_000 * n) for n in [self._told]))
        self._post.drain()
        states = self._post.states()
        assert len(states) == self._told
        return states[-1][1] == "delivered"

    def refused(self) -> int:
        return self._place.stand_in.refused["signature"]


def test_nothing_is_refused_while_the_secret_is_exchanged_and_then_the_old_one_is(place: Place) -> None:
    process = Delivering(place)
    assert process.tells()
    result = place.rotate()
    assert result.exit_code == 0, result.output
    assert place.present() == OLD
    assert process.tells()  # the receiver knows the old one
    place.stand_in.know(place.waiting().encode())
    assert process.tells()  # and now the new one
    new = place.waiting()
    assert place.rotate("--finish").exit_code == 0
    assert (place.present(), next_of(place.secret).exists()) == (new, False)
    assert stat.S_IMODE(place.secret.stat().st_mode) == 0o640
    assert process.tells()
    assert process.refused() == 0
    place.stand_in.know(OLD.encode())  # a receiver that was forgotten
    assert not process.tells()
    assert process.refused() == 1
    assert new not in result.output


def test_a_second_signature_is_sent_only_while_two_secrets_count(place: Place) -> None:
    process = Delivering(place)
    place.stand_in.know(b"0123456789abcdef of nobody")
    assert not process.tells()
    place.rotate()
    place.stand_in.know(place.waiting().encode())
    assert process.tells()
    next_of(place.secret).unlink()
    assert not process.tells()


@pytest.mark.parametrize("options", [(), ("--finish",)])
def test_killed_and_run_again_it_comes_out_right(
    place: Place, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if options:
        place.rotate()
    with monkeypatch.context() as killed:
        killed.setattr(SecretFile, "take_next" if options else "write_next", _killed)
        place.rotate(*options)
    process = Delivering(place)
    assert process.tells()
    assert place.rotate().exit_code == 0
    waiting = place.waiting()
    assert place.rotate().exit_code == 0
    assert place.waiting() == waiting  # the one that may be with the receiver already
    assert place.rotate("--finish").exit_code == 0
    place.stand_in.know(waiting.encode())
    assert process.tells()


def _killed(*_given: object) -> None:
    raise KeyboardInterrupt


def test_what_the_other_side_gave_is_taken_at_once_without_a_restart(place: Place) -> None:
    process = Delivering(place)
    given = place.folder / "given"
    given.write_text("a secret that they gave us\n", encoding="utf-8")
    place.stand_in.know(b"a secret that they gave us")
    result = place.rotate("--from", str(given))
    assert result.exit_code == 0, result.output
    assert process.tells()
    assert stat.S_IMODE(place.secret.stat().st_mode) == 0o640
    assert "they gave us" not in result.output


def test_a_file_that_becomes_unusable_stops_nobody(place: Place) -> None:
    process = Delivering(place)
    for spoil in (lambda: place.secret.write_text("short", encoding="utf-8"), place.secret.unlink):
        spoil()
        assert process.tells()


def test_what_is_wrong_is_one_sentence_and_changes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    empty, short = place.folder / "empty", place.folder / "short"
    empty.write_text("\n", encoding="utf-8")
    short.write_text("short", encoding="utf-8")
    for options, said in (
        (("--finish",), "grid.next waits; begin without --finish"),
        (("--from", str(empty)), "is empty: expected the new secret of receiver grid"),
        (("--from", str(short)), "secret of 5 bytes, at least 16"),
        (("--from", str(place.folder / "nowhere")), "cannot be read"),
        (("--from", str(short), "--finish"), "there is nothing to --finish"),
    ):
        assert place.code(*options) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    assert place.code(name="grit") == 2
    assert "there is no receiver 'grit': did you mean 'grid'?" in capsys.readouterr().err
    assert (place.present(), next_of(place.secret).exists()) == (OLD, False)
    place.rotate()
    assert place.code("--from", str(short)) == 2
    assert "waits to follow" in capsys.readouterr().err
    place.secret.unlink()
    assert place.code("--finish") == 2
    assert "receiver grid: secret_file" in capsys.readouterr().err


class Bearing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a kind whose secret is a token that the other side gives."""

    secret_file: Path


def _open_bearing(name: str, settings: Bearing, read_secret: ReadSecret) -> Receiver:
    assert read_secret(settings.secret_file, name) != Secret("")
    return RecordingReceiver(name)


def test_a_token_that_the_other_side_gives_is_never_made_here(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "bearing", ReceiverKind(Bearing, _open_bearing))
    place = Place(tmp_path, stand_in, kind="bearing")
    result = place.rotate()
    assert "the other side gives the secret of a bearing; take it with --from FILE" in str(result.exception)
    given = tmp_path / "given"
    given.write_text("token", encoding="utf-8")
    assert place.rotate("--from", str(given)).exit_code == 0
    assert place.present() == "token"
