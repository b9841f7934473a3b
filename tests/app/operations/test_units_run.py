"""Processes of a district under their units: with what the unit gives, as another account, everything else read-only.

Where there is no systemd that runs, its part is played by a mount namespace: credentials are copied, what is not
writable is mounted read-only, what is inaccessible is covered.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.services import placed
from app.main import linli
from app.operations.services import ProcessCounts, services_of
from app.operations.systemd import units_of
from app.settings.loading import load_settings
from app.wiring.children import linli_arguments
from app.wiring.run_child import environment
from tests.support.kafka import RunningKafka, make_topics

PATIENCE_S = 120.0
SEALS = "import sys; from pathlib import Path; from streams.archive.segment_keys import SiteKeys; {}"
REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.service,
    pytest.mark.patient,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare"),
]


class Units:
    """A district's settings and secrets in a folder of root's, and its units."""

    def __init__(self, folder: Path, kafka_url: str) -> None:
        self.folder, self.account = folder, pwd.getpwnam("nobody")
        for name in ("etc", "state", "archive", "keys", "run"):
            (folder / name).mkdir()
        for name in ("state", "archive", "keys"):
            os.chown(folder / name, self.account.pw_uid, self.account.pw_gid)
        for name in ("mqtt", "webhook"):
            (folder / "etc" / name).write_text(f"user:secret of {name} that is long enough", encoding="utf-8")
            os.chown(folder / "etc" / name, self.account.pw_uid, self.account.pw_gid)  # readable, were it not hidden
            (folder / "etc" / name).chmod(0o400)
        names = make_topics(kafka_url, partitions=2)
        self.config = folder / "etc" / "linli.toml"
        self.config.write_text(
            f'[log]\nurl = "{kafka_url}"\n[kafka]\nprefix = "{names.prefix}"\npartitions = 2\n'
            f'[mqtt]\npassword_file = "mqtt"\n[webhook]\nurl = "https://r.example"\nsecret_file = "webhook"\n'
            f'[archive]\nfolder = "{folder}/archive"\nkey_file = "{folder}/keys/archive"\n',
            encoding="utf-8",
        )
        settings = load_settings(self.config, {})
        services = placed(linli, services_of(settings, ProcessCounts()), self.config)
        self.arguments = {service.name: service.arguments for service in services}
        self.units = units_of(settings, services, linli=Path("/linli"))

    def start(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        """Start a command as the unit ``name`` would."""
        own = self.folder / "run" / name
        own.mkdir(exist_ok=True)
        lines = [line.partition("=") for line in self.units[f"{name}.service"].splitlines()]
        given = {"LINLI_METRICS_PORT": "0"}
        writable, hidden = [self.folder / "state"], []
        for key, _, value in lines:
            if key == "LoadCredential":
                credential, _, source = value.partition(":")
                shutil.copy(source, own / credential)
                os.chown(own / credential, self.account.pw_uid, self.account.pw_gid)
            elif key == "Environment" and "_FILE=" in value:
                variable, _, file = value.partition("=")
                given[variable] = file.replace("%d", str(own))
            elif key == "ReadWritePaths":
                writable.append(Path(value.removeprefix("-")))
            elif key == "InaccessiblePaths":
                hidden.append(value.removeprefix("-"))
        return self._inside(writable, hidden, command, given)

    def _inside(
        self, writable: list[Path], hidden: list[str], command: list[str], given: dict[str, str]
    ) -> subprocess.Popen[str]:
        cover = self.folder / "run" / "nothing"
        cover.touch(mode=0o000)
        cover.chmod(0o000)
        steps = ["mount --make-rprivate /", f"mount --bind {self.folder} {self.folder}"]
        steps += [f"mount --bind {path} {path}" for path in writable]
        steps += [f"mount --bind {cover} {path}" for path in hidden if Path(path).exists()]
        steps.append(f"mount -o remount,bind,ro {self.folder}")
        user = f"setpriv --reuid {self.account.pw_uid} --regid {self.account.pw_gid} --clear-groups --no-new-privs"
        steps.append(f"cd {self.folder}/state && exec {user} {shlex.join(command)}")
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", "\n".join(steps)],
            env=environment(given) | {"PYTHONPATH": str(REPOSITORY), "HOME": "/"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def python(self, name: str, code: str) -> tuple[int, str]:
        """Run Python as a unit would; its exit code and what it says."""
        process = self.start(name, [*linli_arguments()[:1], "-c", code])
        said, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said


@pytest.fixture
def units(kafka: RunningKafka) -> Iterator[Units]:
    folder = Path(tempfile.mkdtemp(prefix="linli-units-"))
    folder.chmod(0o755)
    yield Units(folder, kafka.url)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "reads", "hidden"),
    [
        ("linli-archive", (), ("mqtt", "webhook")),
        ("linli-ingest-0", ("mqtt",), ("webhook",)),
        ("linli-streams-0", (), ("mqtt", "webhook")),
        ("linli-incidents-0", ("webhook",), ("mqtt",)),
        ("linli-console", (), ("mqtt", "webhook")),
    ],
)
def test_a_process_reads_its_own_secrets_and_opens_no_others(
    units: Units, name: str, reads: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    fields = {"mqtt": "LINLI_MQTT_PASSWORD_FILE", "webhook": "LINLI_WEBHOOK_SECRET_FILE"}
    for secret in reads:
        code, said = units.python(name, f"import os; print(open(os.environ[{fields[secret]!r}]).read())")
        assert (code, f"secret of {secret}" in said) == (0, True), said
    for secret in hidden:
        code, said = units.python(name, f"print(open({str(units.folder / 'etc' / secret)!r}).read())")
        assert (code, "PermissionError" in said) == (1, True), said


def test_the_archive_runs_and_writes_its_keys_under_its_unit_and_no_other_does(units: Units) -> None:
    process = units.start("linli-archive", linli_arguments(*units.arguments["linli-archive"]))
    assert process.stdout is not None
    said, end_s = "", time.monotonic() + PATIENCE_S
    while " ready" not in said and process.poll() is None and time.monotonic() < end_s:
        said += process.stdout.readline()
    process.terminate()
    with process:  # leaves nothing behind, and says what the process said last
        try:
            rest, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert " ready" in said, said + rest
    assert process.returncode == 0, rest
    code = (
        "from pathlib import Path; from streams.archive.archive import Archive; from contextlib import closing; "
        f"a = Archive(Path({str(units.folder / 'archive')!r}), Path({str(units.folder / 'keys' / 'archive')!r})); "
        "a.keys.make('site-1'); Path(a.folder, 'x').touch(); a.close()"
    )
    result, said = units.python("linli-archive", code)
    assert result == 0, said
    kept = (units.folder / "keys" / "archive").read_bytes()
    for name in ("linli-streams-0", "linli-console", "linli-ingest-0"):
        assert units.python(name, code)[0] != 0
    assert (units.folder / "keys" / "archive").read_bytes() == kept
