"""Every command of ``linli`` ends with the documented code: 0 done, 1 failed, 2 usage or configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.cli import check_config
from app.cli.command_line import with_config
from app.main import exit_code, linli
from contracts.errors import ConfigurationError, LogBroken, Permanent, Rejected, RejectReason, Transient

Words = tuple[str, ...]


def leaves(command: click.Command, path: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command that does something, with its words after ``linli``."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from leaves(found, (*path, name))
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command


LEAVES = {" ".join(path): command for path, command in leaves(linli)}

NEEDED = {
    "archive erase-site": "s1 --yes",
    "archive show": "s1-20261123.seg",
    "backup": "copy",
    "boxes rotate": "s1 b1 --token-out box.token",
    "dead-letters purge": "--yes",
    "dead-letters show": "1",
    "demo": "--clips BROKEN",
    "edge analyze": "BROKEN --camera BROKEN",
    "edge token": "--box Box! --site s1 --out box.token",
    "erase": "--site s1 --person p1",
    "hold add": "--site s1 --reason proof",
    "hold remove": "h1",
    "ingest forget": "--yes",
    "inventory check": "BROKEN",
    "inventory load": "BROKEN",
    "log load": "EMPTY",
    "migrate": "--from EMPTY",
    "models check": "BROKEN",
    "restore": "EMPTY",
    "replay": "--key-file BROKEN BROKEN BROKEN",
    "simulate": "--seed 1 --out events.jsonl --start BROKEN",
    "secrets rotate mqtt": "--accounts BROKEN",
    "secrets rotate receiver": "grid",
    "streams retry": "1",
    "streams skip": "1",
    "trace": "f1",
    "users add": "wang --role admin@*",
    "users password": "wang",
    "users remove": "wang",
}
"""What stands behind a command besides its settings. Commands without settings are given another broken file."""

READ_NO_FILE = {"docs", "rules list", "rules show"}
"""Commands that print what is built in: no file of theirs can be broken."""


def code_of(*words: str) -> int:
    """The exit code of a command line, however it is told."""
    try:
        return exit_code(words)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for command in LEAVES.values():
        command._help_option = None  # click keeps that of the first call; a test that calls it without linli has no -h


@pytest.mark.parametrize("words", LEAVES)
def test_a_wrong_option_is_2_and_help_is_0_also_beside_broken_settings(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for settings in ("", "[log]\nurl = 'nowhere'"):
        (tmp_path / "linli.toml").write_text(settings, encoding="utf-8")
        assert code_of(*words.split(), "--no-such-option") == 2
        assert "No such option" in capsys.readouterr().err
        assert code_of(*words.split(), "--help") == code_of(*words.split(), "-h") == 0
        assert f"{words} [" in capsys.readouterr().out


@pytest.mark.parametrize("words", [words for words in LEAVES if words not in READ_NO_FILE])
def test_a_broken_settings_file_is_2(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    required = [option.name for option in LEAVES[words].params if option.required and option.name != "config"]
    assert words in NEEDED or not required, f"{words} needs {required}: add it to NEEDED"
    for broken in _broken_files(tmp_path):
        names = {"BROKEN": str(broken), "EMPTY": str(_empty(tmp_path))}
        needed = [names.get(word, word) for word in NEEDED.get(words, "").split()]
        line = with_config(linli, words.split(), broken)
        assert code_of(*line, *needed) == 2, f"{broken}: {capsys.readouterr().err}"
        told = capsys.readouterr().err
        assert told and "Traceback" not in told


def _broken_files(folder: Path) -> list[Path]:
    texts = {"value.toml": b"[log]\nurl = 'nowhere'\n", "syntax.toml": b"[[[", "bytes.toml": b"\xff\xfe"}
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    return [*(folder / name for name in texts), folder / "absent.toml", folder]


def _empty(folder: Path) -> Path:
    file = folder / "empty.toml"
    file.touch()
    return file


DAMAGED = [
    "archive erase-site", "archive once", "dead-letters list", "dead-letters purge", "dead-letters show", "doctor",
    "erase", "erase verify", "findings export", "hold add", "hold list", "hold remove", "inventory list",
    "inventory pending", "results rejected", "results status", "streams failures", "streams retry", "streams skip",
    "trace", "users add", "users list", "users password", "users remove",
]  # fmt: skip
"""Commands that read a store of one machine."""


@pytest.mark.parametrize("words", DAMAGED)
def test_a_damaged_store_is_1_and_one_line(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "linli-data"
    (data / "dead-letters").mkdir(parents=True)
    stores = ("incidents.db", "config.db", "engine.db", "results-spool.db", "dead-letters/dead-letters.db")
    for name in stores:
        (data / name).write_bytes(b"no database at all" * 100)
    assert code_of(*words.split(), *NEEDED.get(words, "").split()) == 1
    told = capsys.readouterr()
    assert "not a database" in told.err + told.out


@pytest.mark.parametrize(
    "line",
    [
        "simulate --seed 1 --sites 1 --mqtt mqtt://127.0.0.1:1",
        "ingest forget --yes",
        "archive erase-site s1",  # nobody says yes
        "services --systemd linli.toml/units",
        "users list",
    ],
)
def test_what_fails_on_the_way_is_1(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "linli.toml").write_text("[mqtt]\nurl = 'mqtt://127.0.0.1:1'\n", encoding="utf-8")
    (tmp_path / "linli-data").write_text("a file where the folder should be", encoding="utf-8")
    assert code_of(*line.split()) == 1
    assert capsys.readouterr().err.count("linli: ") == 1


@pytest.mark.parametrize(("words", "code"), [("check-config", 0), ("users list", 0), ("run", 2)])
def test_a_webhook_without_its_secret_is_2_only_where_receivers_are_told(
    words: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linli.toml").write_text('[webhook]\nurl = "https://receiver.example"\n', encoding="utf-8")
    assert code_of(*words.split()) == code
    assert ("webhook.secret_file is empty" in capsys.readouterr().err) == (code == 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (click.exceptions.Exit(0), 0),
        (click.exceptions.Exit(1), 1),
        (SystemExit(1), 1),
        (click.Abort(), 1),
        (KeyboardInterrupt(), 1),
        (click.UsageError("odd"), 2),
        (click.BadParameter("odd"), 2),
        (click.ClickException("odd"), 1),
        (click.FileError("file"), 1),
        (ConfigurationError("key"), 2),
        (Permanent("broken"), 1),
        (LogBroken("gap"), 1),
        (Transient("away"), 1),
        (Rejected(RejectReason.BAD_ID, "x"), 1),
        (PermissionError(13, "Permission denied", "file"), 1),
    ],
    ids=repr,
)
def test_each_kind_of_end_has_its_code(
    error: BaseException | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(**_options: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(check_config.command, "callback", end)
    assert code_of("check-config") == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_that_nobody_expected_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(**_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(check_config.command, "callback", end)
    with pytest.raises(ZeroDivisionError):
        exit_code(["check-config"])


@pytest.mark.parametrize(("error", "code"), [(Permanent("hash"), 1), (ConfigurationError("key"), 2)])
def test_models_check_tells_of_every_model_and_ends_with_the_worst(
    error: Exception, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(path: Path) -> str:
        if path.stem == "good":
            return "good: ok"
        raise error if path.stem == "worst" else Permanent("another file")

    monkeypatch.setattr("edge.inference.model_check.check_model", check)
    for name in ("bad", "good", "worst"):
        (tmp_path / f"{name}.toml").touch()
    assert code_of("models", "check", "good.toml") == 0
    assert code_of("models", "check", "bad.toml", "worst.toml", "good.toml") == code
    told = capsys.readouterr()
    assert told.out == "good: ok\n" * 2
    assert "bad.toml: another file" in told.err
    assert told.err.endswith("2 of 3 models cannot be used\n")
