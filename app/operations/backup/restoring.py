"""Putting a backup back where the settings say, into places that are empty; of a damaged one nothing is put back."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from app.operations.backup.making import described
from app.operations.backup.manifest import MANIFEST, BackupManifest, decode_manifest
from app.operations.backup.places import need_one_machine, place_of
from app.settings.settings import Settings
from contracts.errors import ConfigurationError, Permanent
from incidents.store import table_sums
from system.durable_files import sync_folder
from system.private_files import FILE_MODE, FOLDER_MODE, make_folder

_FORGOTTEN = ("sessions",)
"""Of the incidents: who was logged in may have been shut out since."""


def restore_backup(settings: Settings, source: Path) -> BackupManifest:
    """Put a backup back. Everything is compared before the first file comes to its place, the log last.

    Args:
        settings: where each store belongs; none may be there.
        source: the folder or the tar file.

    Raises:
        ConfigurationError: a place is not empty, or this is no single machine.
        Permanent: the backup is damaged or not whole.
    """
    need_one_machine(settings)
    if not source.exists():
        raise ConfigurationError(f"{source} is not there")
    _need_empty(settings, source)
    folder = settings.log.folder().absolute()
    make_folder(folder.parent)
    try:
        with _unpacked(source, folder) as stage:
            manifest = _compared(stage, source)
            places = {file.name: place_of(file.name, settings).absolute() for file in manifest.files}
            for path in places.values():
                if path.exists():
                    raise ConfigurationError(f"{path} is there already; a backup is only put back where nothing is")
            _forget_logins(stage / "incidents.db")
            _put_in_place(stage, places, folder)
    except OSError as error:
        raise Permanent(
            f"the backup was not put back: {error.strerror or error}; remove what came of it and repeat"
        ) from error
    return manifest


def _need_empty(settings: Settings, source: Path) -> None:
    folder = settings.log.folder()
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(
            f"{folder} is not empty; a backup is only put back into an empty folder: move away what is there, or name "
            "another in log.url"
        )
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder; log.url names where {source} is put back")


@contextmanager
def _unpacked(source: Path, folder: Path) -> Iterator[Path]:
    """Copy the backup beside the folder of the log, where it is compared before it comes to its places."""
    stage = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    stage.mkdir(mode=FOLDER_MODE)
    try:
        if source.is_dir():
            _copy_folder(source, stage)
        else:
            _unpack(source, stage)
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _copy_folder(source: Path, stage: Path) -> None:
    for path in sorted(source.rglob("*")):
        target = stage / path.relative_to(source)
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise Permanent(f"{source} is no backup: {path.name} is neither file nor folder")
        if path.is_dir():
            make_folder(target)
        else:
            make_folder(target.parent)
            shutil.copyfile(path, target)


def _unpack(source: Path, stage: Path) -> None:
    try:
        with tarfile.open(source, mode="r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isreg() or name.is_absolute() or ".." in name.parts:
                    raise Permanent(f"{source} is no backup: it holds {member.name!r}, which none has")
                target = stage / name
                make_folder(target.parent)
                packed = tar.extractfile(member)
                assert packed is not None  # it is a regular file
                with packed, target.open("xb") as file:
                    shutil.copyfileobj(packed, file)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise Permanent(f"{source} is damaged: {error}; take another backup") from None


def _compared(stage: Path, source: Path) -> BackupManifest:
    """Return the manifest once every file is what it says, and no other is there.

    Raises:
        Permanent: names what is damaged.
    """
    try:
        text = (stage / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise Permanent(f"{source} is no whole backup: it has no {MANIFEST}; take another backup") from None
    manifest = decode_manifest(text, str(source))
    there = {path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file()}
    wanted = {file.name: file for file in manifest.files}
    if wrong := sorted(there ^ {MANIFEST, *wanted}):
        what = "lacks" if wrong[0] in wanted else "also holds"
        raise Permanent(f"{source} is no whole backup: it {what} {wrong[0]}; take another backup")
    for name, file in wanted.items():
        if described(stage, name) != file:
            raise Permanent(f"{source} is damaged: {name} is not what was written; take another backup")
        (stage / name).chmod(FILE_MODE)
    return manifest


def _forget_logins(incidents: Path) -> None:
    if incidents.exists():
        with closing(sqlite3.connect(incidents, isolation_level=None)) as connection:
            table_sums.register(connection)
            for table in _FORGOTTEN:
                connection.execute(f"DELETE FROM {table}")


def _put_in_place(stage: Path, places: dict[str, Path], folder: Path) -> None:
    """Move what lies elsewhere first; then the folder of the log comes with all that is in it, at once."""
    inner = stage / ".log"
    inner.mkdir(mode=FOLDER_MODE)
    for name, path in places.items():
        inside = path.is_relative_to(folder)
        target = inner / path.relative_to(folder) if inside else path
        make_folder(target.parent)
        if inside:
            (stage / name).rename(target)
        else:
            _move(stage / name, target)
    if folder.exists():
        folder.rmdir()
    inner.rename(folder)
    sync_folder(folder.parent)


def _move(path: Path, target: Path) -> None:
    """Move a file, over the borders of file systems too."""
    part = target.with_name(target.name + ".new")
    shutil.copyfile(path, part)
    part.chmod(FILE_MODE)
    part.rename(target)
    sync_folder(target.parent)
