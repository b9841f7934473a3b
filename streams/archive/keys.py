"""One key per site in one file (``site = 64 hex digits`` a line, for its owner alone): deleting a line erases the site.

The file is small and read whole; it is written under another name, synced and renamed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.written_text import decode_written
from streams.archive.segment import NONCE_BYTES
from system.durable_files import replace_durably
from system.private_files import make_folder

KEY_BYTES = 32
_LINE = re.compile(r"([a-z0-9][a-z0-9_-]{0,39}) = ([0-9a-f]{64})", re.ASCII)


class SiteKeys:
    """The keys in one file. Whoever writes holds the archive's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, site_id: str) -> bytes:
        """Return the site's key.

        Raises:
            ConfigurationError: the file has none: it is another archive's, or the site was erased.
        """
        found = self._read().get(site_id)
        if found is None:
            raise ConfigurationError(
                f"{self.path} has no key for site {site_id}: give the file that its segments were sealed with "
                "(archive.key_file); if the site was erased, nothing opens them any more"
            )
        return found

    def make(self, site_id: str) -> bytes:
        """Return the site's key, made at random when it has none yet."""
        keys = self._read()
        if site_id not in keys:
            keys[site_id] = os.urandom(KEY_BYTES)
            self._write(keys)
        return keys[site_id]

    def erase(self, site_id: str) -> bool:
        """Delete the site's key; whether there was one. Its segments can be read by nobody from here on."""
        keys = self._read()
        if keys.pop(site_id, None) is None:
            return False
        self._write(keys)
        return True

    def sites(self) -> list[str]:
        """Return the sites whose keys there are."""
        return sorted(self._read())

    def _read(self) -> dict[str, bytes]:
        try:
            lines = decode_written(self.path.read_bytes(), f"key file {self.path}").splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"key file {self.path} cannot be read: {error}") from None
        found = [_LINE.fullmatch(line) for line in lines if line.strip()]
        if not all(found):
            raise ConfigurationError(f"key file {self.path}: every line must be SITE = 64 hex digits; restore it")
        return {match[1]: bytes.fromhex(match[2]) for match in found if match}

    def _write(self, keys: dict[str, bytes]) -> None:
        make_folder(self.path.parent)
        text = "".join(f"{site_id} = {key.hex()}\n" for site_id, key in sorted(keys.items()))
        replace_durably(self.path, [text.encode()], mode=0o600)


def new_nonce() -> bytes:
    """Return a nonce for one part, at random: a key that seals two parts with one nonce hides neither."""
    return os.urandom(NONCE_BYTES)
