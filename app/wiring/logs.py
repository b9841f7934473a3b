"""Logs: one line an event on stderr, UTC time first; no personal data, images or tokens.

Every line of the process goes one way, those of libraries too, and what repeats is counted (:mod:`app.wiring.repeats`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.wiring.repeats import Repeats

_TIMES = "said_before"


class _Libraries(logging.Handler):
    """Gives what libraries say to our own logs, an error as one line: a traceback of theirs helps nobody here."""

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # a library's own mistake in its arguments
            said = str(record.msg)
        raised = record.exc_info[1] if record.exc_info else None
        more = {"error": repr(raised)} if raised is not None else {}
        level = min(max(record.levelno // 10 * 10, logging.WARNING), logging.CRITICAL)
        structlog.get_logger("library").log(level, said, logger=record.name, **more)


def configure_logs() -> None:
    """Set up structlog for this process, and the loggers of libraries; called once, before threads start."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            counted(Repeats()),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()], force=True)


def counted(repeats: Repeats) -> Processor:
    """Return what lets a line through, with how often it was said unshown, or drops it, counted."""
    lock = threading.Lock()

    def process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        line = " ".join(f"{name}={value}" for name, value in event.items() if name != "exc_info")
        now_s = time.monotonic()
        with lock:
            over = repeats.over(now_s) if _TIMES not in event else []
            hidden = repeats.take(line, now_s)
        for one in over:
            if one.line != line:
                structlog.get_logger("linli").info("repeated", line=one.line, **{_TIMES: one.times})
            elif hidden is not None:
                hidden += one.times
        if hidden is None:
            raise structlog.DropEvent
        if hidden:
            event[_TIMES] = hidden
        return event

    return process
