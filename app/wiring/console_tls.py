"""The console's own certificate: read at the start, and again whenever its files are exchanged."""

from __future__ import annotations

import ssl

import structlog

from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from system.file_stamp import FileStamp, stamp_of
from system.tls import TlsFileError, TlsFiles, server_context

LOG = structlog.get_logger("linli")


class ConsoleTls:
    """What the console shows of itself; ``context`` is None where it speaks plain HTTP.

    Raises:
        ConfigurationError: a file cannot be used, or the two do not belong together.
    """

    def __init__(self, settings: Settings) -> None:
        console = settings.console
        self._files = TlsFiles(table="console", cert_file=console.cert_file, key_file=console.key_file)
        self._seen = self._stamps()
        self.context: ssl.SSLContext | None = None
        if console.cert_file is not None:
            try:
                self.context = server_context(self._files)
            except TlsFileError as error:
                raise ConfigurationError(str(error)) from None

    def renew(self) -> None:
        """Show what the files hold now, if they have changed; a pair that is wrong is said, and the old one stays."""
        state = self._stamps()
        if self.context is None or state == self._seen:
            return
        self._seen = state
        try:
            server_context(self._files)  # tried first: a wrong pair would spoil the one in use
            self.context.load_cert_chain(str(self._files.cert_file), self._files.key_file)
            LOG.info("certificate_renewed", file=str(self._files.cert_file))
        except (TlsFileError, OSError) as error:
            LOG.error("certificate_not_renewed", error=str(error))

    def _stamps(self) -> list[FileStamp | None]:
        """Return what tells each file from what it was."""
        files = (self._files.cert_file, self._files.key_file)
        return [None if path is None else stamp_of(path) for path in files]
