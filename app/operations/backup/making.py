"""Making a backup: a folder or a tar file that is there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from app.operations.backup.manifest import MANIFEST, BackedUpFile, BackupManifest, encode_manifest
from app.operations.backup.places import need_one_machine, plain_files
from app.operations.backup.snapshots import copy_of, held
from app.settings.settings import Settings
from contracts.errors import ConfigurationError, Permanent
from system.durable_files import replace_durably, sync_folder
from system.private_files import FILE_MODE, FOLDER_MODE, make_folder

TAR = ".tar"
_AT_ONCE = 1 << 20


def make_backup(settings: Settings, target: Path, now_ms: int) -> BackupManifest:
    """Write all that the machine must have to go on elsewhere; it may work meanwhile.

    Args:
        settings: of the machine.
        target: must not be there; a name that ends in ``.tar`` becomes a file, any other a folder.
        now_ms: epoch ms UTC.

    Raises:
        ConfigurationError: it is no single machine, or the target cannot be used.
        Permanent: a store is damaged, or the disk is full. Transient: a store is locked.
    """
    need_one_machine(settings)
    if not settings.log.folder().is_dir():
        raise ConfigurationError(f"{settings.log.folder()} is not there; log.url names what is backed up")
    if target.exists() or target.is_symlink():
        raise ConfigurationError(f"{target} is there already; a backup is never written over another")
    if not target.absolute().parent.is_dir():
        raise ConfigurationError(f"{target.absolute().parent} is not there: make it, and let only yourself read it")
    try:
        with _stage(target) as stage:
            manifest = _fill(settings, stage, now_ms)
            _put_in_place(stage, target, manifest)
    except OSError as error:
        raise Permanent(f"the backup was not written to {target}: {error.strerror}; nothing is left of it") from error
    return manifest


@contextmanager
def _stage(target: Path) -> Iterator[Path]:
    stage = target.absolute().with_name(f".{target.name}.{secrets.token_hex(4)}")
    stage.mkdir(mode=FOLDER_MODE)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _fill(settings: Settings, stage: Path, now_ms: int) -> BackupManifest:
    names = []
    with held(settings) as stores:
        for store in stores:
            copy_of(store, stage / store.name)
            names.append(store.name)
        for plain in plain_files(settings):
            if _copied(plain.path, stage / plain.name):
                names.append(plain.name)
    files = tuple(described(stage, name) for name in names)
    return BackupManifest(made_ms=now_ms, program=version("linli"), files=files)


def _copied(path: Path, target: Path) -> bool:
    """Copy a file that is written once and replaced whole; False where it is not there, or goes meanwhile."""
    make_folder(target.parent)
    try:
        with path.open("rb") as source:
            replace_durably(target, iter(lambda: source.read(_AT_ONCE), b""))
    except FileNotFoundError:
        return False
    return True


def described(folder: Path, name: str) -> BackedUpFile:
    """Return a file's entry in the manifest; what it holds is on disk then."""
    path, digest = folder / name, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_AT_ONCE):
            digest.update(piece)
        os.fsync(file.fileno())
    return BackedUpFile(name, path.stat().st_size, digest.hexdigest())


def _put_in_place(stage: Path, target: Path, manifest: BackupManifest) -> None:
    replace_durably(stage / MANIFEST, [encode_manifest(manifest)])
    if target.suffix == TAR:
        packed = stage.with_name(stage.name + TAR)
        try:
            _pack(stage, packed, [MANIFEST, *(file.name for file in manifest.files)])
            packed.replace(target)
        finally:
            packed.unlink(missing_ok=True)
    else:
        stage.rename(target)
    sync_folder(target.absolute().parent)


def _pack(stage: Path, packed: Path, names: list[str]) -> None:
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in names:
                tar.add(stage / name, name, recursive=False)
        file.flush()
        os.fsync(file.fileno())
