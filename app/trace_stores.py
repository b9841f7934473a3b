"""The stores that a trace looks into, as the settings name them; opened for reading, beside whoever writes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from app.settings import Settings, sqlite_path
from app.tracing import Tracer
from contracts.errors import ConfigurationError
from incidents.store import Store
from streams.daylog import DayLog
from streams.engine_look import EngineLook


def open_tracer(settings: Settings, opened: ExitStack) -> Tracer:
    """A tracer over the stores in force; ``opened`` closes them.

    Raises:
        ConfigurationError: one of them is not there.
    """
    folder = settings.folder()
    log = DayLog(_there(folder, "log.url"), readonly=True)
    opened.callback(log.close)
    look = EngineLook(_there(folder / "engine.db", "log.url"))
    opened.callback(look.close)
    store = Store(f"sqlite:///{_there(sqlite_path(settings, 'incidents.url'), 'incidents.url')}")
    opened.callback(store.close)
    return Tracer(store, look, lambda _site: [log])


def _there(path: Path, key: str) -> Path:
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; {key} names what `linli run` writes")
    return path
