"""The page: a few files without a build step, served from the package."""

from __future__ import annotations

import importlib.resources

from fastapi import FastAPI, Response

from console.api.bounds import Code
from console.api.errors import ApiError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_files() -> dict[str, tuple[bytes, str]]:
    """File name → its bytes and type."""
    folder = importlib.resources.files("console").joinpath("page")
    files = [file for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES]
    return {file.name: (file.read_bytes(), _TYPES[file.name.rpartition(".")[2]]) for file in files}


def serve_page(app: FastAPI) -> None:
    """Serve ``/`` and ``/page/{name}``; only names that exist, so no path leads anywhere else."""
    files = page_files()

    @app.get("/", include_in_schema=False)
    def index() -> Response:
        return _file("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    def file(name: Code) -> Response:
        return _file(name)

    def _file(name: str) -> Response:
        if name not in files:
            raise ApiError(404, "not_found")
        body, media_type = files[name]
        return Response(body, media_type=media_type, headers={"Cache-Control": "no-cache"})
