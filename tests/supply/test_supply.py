"""The bill of materials is the locks, and the audit says what is known, or that nobody could be asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.supply import audit, sbom
from tests.supply.locks import PYTHON_LOCK, ROOT, Package, read_locks

LOCK = """\
click==8.1.7 \\
    --hash=sha256:{a}
    # via linli (pyproject.toml)
idna==3.6 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via
    #   anyio
    #   click
""".format(a="0a" * 32, b="0b" * 32)
NPM = {
    "lockfileVersion": 3,
    "packages": {"": {}, "node_modules/@x/y": {"version": "1.2.3"}, "node_modules/l": {"link": True}},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with both locks."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "requirements.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "package-lock.json").write_text(json.dumps(NPM), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "linli"\nversion = "1.0"\n', encoding="utf-8")
    return tmp_path


def _bill(root: Path) -> dict[str, Any]:
    assert sbom.main(root / "bill.json", root) == 0
    bill: dict[str, Any] = json.loads((root / "bill.json").read_text(encoding="utf-8"))
    return bill


def test_the_bill_names_every_package_once_with_its_files_and_who_needs_it(root: Path) -> None:
    bill = _bill(root)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert [one["purl"] for one in bill["components"]] == [
        "pkg:pypi/click@8.1.7",
        "pkg:pypi/idna@3.6",
        "pkg:npm/%40x/y@1.2.3",
    ]
    idna = bill["components"][1]
    assert [one["value"] for one in idna["properties"]] == ["0a" * 32, "0b" * 32]
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert needs["pkg:pypi/click@8.1.7"] == ["pkg:pypi/idna@3.6"]
    assert needs["linli"] == ["pkg:npm/%40x/y@1.2.3", "pkg:pypi/click@8.1.7", "pkg:pypi/idna@3.6"]
    assert _bill(root) == bill


def test_the_products_own_lock_is_read_whole() -> None:
    named = re.findall(r"^([a-z0-9._-]+)==", PYTHON_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    packages = [package for package in read_locks() if package.ecosystem == "PyPI"]
    assert sorted(named) == [package.name for package in packages]
    assert all(package.hashes for package in packages)


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "click>=8\n"])
def test_without_a_lock_both_say_so_in_one_sentence(
    root: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    lock = root / "deploy" / "requirements.lock"
    lock.unlink() if text is None else lock.write_text(text, encoding="utf-8")
    assert (sbom.main(root / "bill.json", root), audit.main(root)) == (1, audit.NOT_ASKED)
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 2)
    assert said.err.count("run `make lock` first") == 2
    assert not (root / "bill.json").exists()


class _Osv(BaseHTTPRequestHandler):
    """A server that speaks OSV's API; ``answer`` is what it says to anybody."""

    answer: ClassVar[bytes | None] = None
    asked: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        faults = [{"vulns": [{"id": "PYSEC-1"}]} if q["package"]["name"] == "idna" else {} for q in body["queries"]]
        said = json.dumps({"results": faults}).encode() if self.answer is None else self.answer
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's own name
        pass


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Osv]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("LINLI_OSV_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    _Osv.answer, _Osv.asked = None, []
    yield _Osv
    server.shutdown()
    server.server_close()
    thread.join()


def test_known_faults_are_named_and_the_exit_code_says_so(
    root: Path, osv: type[_Osv], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(root) == audit.KNOWN_FAULTS
    assert "pkg:pypi/idna@3.6: PYSEC-1\n" in capsys.readouterr().out
    ((path, body),) = osv.asked
    assert (path, len(body["queries"])) == ("/v1/querybatch", 3)
    assert body["queries"][0] == {"package": {"ecosystem": "PyPI", "name": "click"}, "version": "8.1.7"}
    (root / "deploy" / "requirements.lock").write_text(LOCK.partition("idna")[0], encoding="utf-8")
    assert audit.main(root) == audit.CLEAN


@pytest.mark.parametrize("answer", [b"", b"<html>proxy</html>", b"{}", b'{"results": []}', b'{"results": 3}', b"[1]"])
def test_an_answer_that_is_none_is_no_clean_bill(
    root: Path, osv: type[_Osv], capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    osv.answer = answer
    assert audit.main(root) == audit.NOT_ASKED
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "could not be asked for known faults" in said.err


def test_a_source_that_cannot_be_reached_is_said_in_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINLI_OSV_URL", "http://127.0.0.1:1")
    assert audit.main(root) == audit.NOT_ASKED
    assert capsys.readouterr().err.startswith("nothing was audited: http://127.0.0.1:1 could not be asked")


def test_both_are_targets_of_make_outside_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "python -m tests.supply.sbom" in makefile.replace("$(PY)", "python")
    check = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    assert "supply" not in check and "audit" not in check


def test_a_package_url_is_that_of_its_ecosystem() -> None:
    assert Package(ecosystem="npm", name="@a/b", version="1").purl == "pkg:npm/%40a/b@1"
