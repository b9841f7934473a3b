"""Every forbidden import and clock is planted once, and the checks of ``make check`` refuse it by name."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest
from importlinter.contracts.layers import LayersContract

from tests.rings.__main__ import main
from tests.rings.rules import check_source, find_violations, layers_of, load_rules
from tests.rings.source import Source, read_source, read_sources

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"
RULES = load_rules(PYPROJECT)
LAYERS = [layer.split(" | ") for layer in layers_of(PYPROJECT)]
UPWARDS = [(below[0], above[0]) for above, below in itertools.pairwise(LAYERS)]
BESIDE = [pair for layer in LAYERS for pair in itertools.permutations(layer, 2)]
A_RULE = "detectors.fire.smoke_or_heat"


@pytest.fixture(scope="module")
def sources() -> Mapping[str, Source]:
    return read_sources(ROOT, RULES.folders)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*RULES.folders, cache_dir=None)


def _planted(sources: Mapping[str, Source], module: str, text: str) -> list[str]:
    """What the check says when ``text`` stands at the end of ``module``, or is all of a new one."""
    old = sources.get(module)
    path = old.path if old else module.replace(".", "/") + ".py"
    before = (ROOT / path).read_text(encoding="utf-8") if old else ""
    return check_source(read_source(module, path, f"{before}\n{text}\n"), RULES)


def _lint(graph: grimp.ImportGraph) -> bool:
    options = {"name": "the rings", "layers": layers_of(PYPROJECT)}
    contract = LayersContract(name="the rings", session_options={}, contract_options=options)
    return contract.check(graph, verbose=False).kept


def test_the_product_as_it_is_passes(sources: Mapping[str, Source], graph: grimp.ImportGraph) -> None:
    assert find_violations(sources, RULES) == []
    assert _lint(graph)


@pytest.mark.parametrize(("importer", "imported"), UPWARDS + BESIDE)
def test_no_layer_imports_one_above_or_beside_it(graph: grimp.ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="planted")
    try:
        assert not _lint(graph)
    finally:
        graph.remove_import(importer=importer, imported=imported)


ROOMS = [
    ("console.api.present", "from streams.log.port import LogReader", "streams.log.port.LogReader"),
    ("console.api.present", "from inventory.last_seen_log import LastSeenLog", "inventory.last_seen_log.LastSeenLog"),
    ("ingest.shard.shard", "from incidents.store.store import Store", "incidents.store.store.Store"),
    ("ingest.pipeline.decode", "import streams.log.port", "streams.log.port"),
    ("edge.run", "import streams.topics", "streams.topics"),
    ("edge.run", "import ingest.settings", "ingest.settings"),
    ("simulator.generate", "import detectors.registry", "detectors.registry"),
    ("incidents.intake.intake", "import ingest.shard.shard", "ingest.shard.shard"),
    ("incidents.intake.intake", "from edge import config", "edge.config"),
    ("incidents.store.store", "from streams.kafka import KafkaCluster", "streams.kafka.KafkaCluster"),
    ("streams.log.port", "from governance import audit", "governance.audit"),
    ("streams.engine.engine", "from simulator import truth", "simulator.truth"),
    ("governance.retention", "from app.settings.settings import Settings", "app.settings.settings.Settings"),
    ("governance.retention", "from ingest.shard import shard", "ingest.shard.shard"),
    ("identity.users", "from streams.log import port", "streams.log.port"),
    ("delivery.outbox", "import streams.sqlite_file", "streams.sqlite_file"),
    ("app.settings.settings", "from streams.log import port", "streams.log.port"),
    ("edge.uplink.sender", "def late():\n    import incidents.store.store", "incidents.store.store"),
    ("streams.results.sender", "from ..archive import keys", "streams.archive.keys"),
]


@pytest.mark.parametrize(("module", "text", "named"), ROOMS)
def test_no_room_imports_one_that_it_may_not_know(
    sources: Mapping[str, Source], module: str, text: str, named: str
) -> None:
    assert any(module.replace(".", "/") in line and named in line for line in _planted(sources, module, text))


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("streams.results.sender", "influxdb_client"),
        ("streams.runtime.worker", "faust"),
        ("streams.checkpoints.kafka", "kafka"),
        ("ingest.shard.shard", "paho.mqtt.client"),
        ("ingest.shard.shard", "sqlalchemy"),
        ("streams.log.port", "psycopg"),
        ("edge.inference.analyze", "onnxruntime"),
        ("identity.roles", "pydantic"),
        ("streams.engine.engine", "numpy"),
        ("detectors.core.facts", "cv2"),
        ("app.cli.run", "requests"),
        ("app.cli.run", "tests.rings"),
        ("simulator.generate", "bench.mix"),
        ("edge.run", "training.labels"),
    ],
)
def test_a_client_is_imported_by_nobody_but_its_modules(
    sources: Mapping[str, Source], module: str, package: str
) -> None:
    assert any(
        f"{module} may not import {package.split('.', maxsplit=1)[0]}" in line
        for line in _planted(sources, module, f"import {package}")
    )


IMPURE = [
    ("import time", "time"),
    ("import time as clock\nNOW = clock.monotonic()", "time"),
    ("from time import time_ns", "time.time_ns"),
    ("import random", "random"),
    ("import uuid", "uuid"),
    ("import secrets", "secrets"),
    ("import os", "os"),
    ("from os import environ", "os.environ"),
    ("import socket", "socket"),
    ("import threading", "threading"),
    ("import asyncio", "asyncio"),
    ("import sqlite3", "sqlite3"),
    ("import logging", "logging"),
    ("import structlog", "structlog"),
    ("import urllib.request", "urllib.request"),
    ("import urllib\nurllib.request.urlopen('x')", "urllib.request"),
    ("from urllib.request import urlopen", "urllib.request.urlopen"),
    ("import subprocess", "subprocess"),
    ("import importlib", "importlib"),
    ("from pathlib import Path", "pathlib.Path"),
    ("import datetime\nNOW = datetime.datetime.now(datetime.UTC)", "datetime.datetime.now"),
    ("import datetime as d\nDAY = d.date.today()", "datetime.date.today"),
    ("from datetime import datetime\nNOW = datetime.utcnow()", "datetime.datetime.utcnow"),
    ("from datetime import datetime as moment\nCLOCK = moment.now", "datetime.datetime.now"),
    ("print('x')", "print"),
    ("def load():\n    return open('x')", "open"),
    ("DATA = __import__('time')", "__import__"),
    ("from streams.log.sqlite.day_log import DayLog", "streams.log.sqlite.day_log.DayLog"),
]
A_MODULE_OF_EACH = [
    "contracts.places",
    A_RULE,
    "detectors.vision.tracking.tracker",
    "streams.engine.engine",
    "streams.archive.segment",
    "streams.results.points",
    "ingest.pipeline.decode",
    "ingest.session.watermark",
    "edge.uplink.events",
    "delivery.backoff",
    "delivery.profiles",
    "app.operations.story",
]


@pytest.mark.parametrize(("text", "named"), IMPURE)
def test_no_clock_chance_or_file_gets_into_a_rule(sources: Mapping[str, Source], text: str, named: str) -> None:
    said = [line for line in _planted(sources, A_RULE, text) if f"{A_RULE} is pure and may not use {named}" in line]
    assert said, text
    assert "detectors/fire/smoke_or_heat.py:" in said[0]


@pytest.mark.parametrize("module", A_MODULE_OF_EACH)
def test_no_clock_or_chance_gets_into_any_pure_room(sources: Mapping[str, Source], module: str) -> None:
    for text, named in (("import time", "time"), ("from random import random", "random.random"), ("print()", "print")):
        assert any(f"{module} is pure and may not use {named}" in line for line in _planted(sources, module, text))


@pytest.mark.parametrize("use", ["np.random.default_rng()", "np.load('x')", "cv2.imread('x')", "cv2.VideoCapture(0)"])
def test_vision_has_arrays_and_neither_chance_nor_files(sources: Mapping[str, Source], use: str) -> None:
    found = _planted(sources, "detectors.vision.tracking.zones", f"import cv2\nimport numpy as np\n{use}")
    assert [line for line in found if use.partition("(")[0].replace("np.", "numpy.") in line]


def test_what_one_module_may_use_of_another_is_all_it_may_use(sources: Mapping[str, Source]) -> None:
    assert _planted(sources, "contracts.hops", "import threading\nLOCK = threading.Lock()") == []
    (said,) = _planted(sources, "contracts.hops", "import threading\nthreading.Thread()")
    assert "threading.Thread" in said


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("ingest.session.probes", '"""Says nothing of it."""', "is in [pure], so the first line of its docstring"),
        ("streams.log.port", '"""A port. Pure."""', "says that it is pure: add streams.log.port"),
        ("billing.tariff", "", "billing.tariff has no room"),
        ("ingest.vendors", "", "ingest.vendors has no room"),
        ("governance.export", "", "governance.export has no layer"),
        ("streams", "import contracts.names", "streams has no layer"),
    ],
)
def test_a_module_that_no_list_knows_is_named(sources: Mapping[str, Source], module: str, text: str, said: str) -> None:
    path = sources[module].path if module in sources else f"{module.replace('.', '/')}.py"
    found = check_source(read_source(module, path, text), RULES)
    assert any(said in line for line in found)


def test_a_list_that_names_a_module_which_is_gone_is_refused(sources: Mapping[str, Source]) -> None:
    left = {name: source for name, source in sources.items() if name != "delivery.backoff"}
    assert "rings.toml: [pure] modules names delivery.backoff, which is not there" in find_violations(left, RULES)


def test_every_room_may_know_only_rooms_that_its_layer_lies_above(sources: Mapping[str, Source]) -> None:
    height = {name: -n for n, layer in enumerate(LAYERS) for name in layer}
    for room, known in RULES.rooms.items():
        if room in height:
            for each in known:
                below = [height[name] for name in height if each.startswith(name)]
                assert all(it < height[room] for it in below), (room, each)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's rooms elsewhere, as a contributor has them."""
    folder = tmp_path_factory.mktemp("rings")
    for room in RULES.folders:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.onnx", "*.js"))
    shutil.copy(PYPROJECT, folder)
    return folder


@pytest.mark.parametrize(
    ("module", "text", "rings", "linter"),
    [
        ("contracts/names.py", "", 0, 0),
        ("detectors/fire/fire_signs.py", "import uuid", 1, 0),
        ("console/page_files.py", "import streams.log.port", 1, 0),
        ("inventory/tables.py", "import ingest.settings", 1, 1),
    ],
)
def test_the_commands_of_make_check_refuse_it_too(copy: Path, module: str, text: str, rings: int, linter: int) -> None:
    before = (copy / module).read_text(encoding="utf-8")
    (copy / module).write_text(f"{before}\n{text}\n", encoding="utf-8")
    try:
        assert _run(ROOT, "-m", "tests.rings", str(copy)) == rings
        assert (
            _run(copy, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")
            == linter
        )
    finally:
        (copy / module).write_text(before, encoding="utf-8")


def test_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m tests.rings [-h] [folder]" in capsys.readouterr().out


def _run(folder: Path, *arguments: str) -> int:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, timeout=60, check=False
    ).returncode
