"""What a backup holds: each file with its length and hash, in a manifest that has a hash of its own. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from contracts.errors import Permanent

MANIFEST = "manifest.json"
FORMAT = 1


class BackedUpFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file by its path within the backup, ``/`` between folders."""

    name: str
    size: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of a backup. ``made_ms``: epoch ms UTC of the moment that it holds; ``program``: who made it."""

    format: int = FORMAT
    made_ms: int
    program: str
    files: tuple[BackedUpFile, ...]


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    backup: msgspec.Raw


def encode_manifest(manifest: BackupManifest) -> bytes:
    """Return the text of a manifest."""
    body = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))


def decode_manifest(text: bytes, where: str) -> BackupManifest:
    """Return what the text says.

    Args:
        text: of the file.
        where: names the backup in errors.

    Raises:
        Permanent: it is damaged, none, or of a newer program.
    """
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
        if hashlib.sha256(bytes(sealed.backup)).hexdigest() != sealed.sha256:
            raise Permanent(f"{where} is damaged: its {MANIFEST} is not what was written; take another backup")
        made = msgspec.json.decode(bytes(sealed.backup), type=_Format)
        if made.format > FORMAT:
            raise Permanent(f"{where} has format {made.format}, this program reads ≤ {FORMAT}: use the newer program")
        return msgspec.json.decode(bytes(sealed.backup), type=BackupManifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Permanent(f"{where} is damaged: its {MANIFEST} cannot be read; take another backup") from None


class _Format(msgspec.Struct):
    format: int
