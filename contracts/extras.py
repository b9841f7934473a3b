"""Packages that not every installation needs, and what to say where one is missing."""

from __future__ import annotations

from contracts.errors import ConfigurationError

EXTRAS = {
    **dict.fromkeys(("kafka", "faust", "psycopg", "crc32c"), "cluster"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "pydantic"), "console"),
    **dict.fromkeys(("numpy", "cv2", "onnxruntime", "av"), "edge"),
    "influxdb_client": "influx",
}
"""Package → the extra of ``linli`` that brings it."""


def not_installed(error: ImportError) -> ConfigurationError:
    """Return the error that says which extra to install. Raise ``error`` itself where no extra brings the package."""
    package = _package_of(error)
    if package not in EXTRAS:
        raise error
    return ConfigurationError(f"{package} is not installed: `pip install 'linli[{EXTRAS[package]}]'`")


def _package_of(error: ImportError) -> str:
    """Return what could not be imported: the module that is missing, else the one that says it cannot be used."""
    if error.name:
        return error.name.partition(".")[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
