"""A writer whose clock is wrong: the brokers take what it writes, and keep it as long as anything else."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogReader
from system.clock import wall_ms
from tests.support.kafka import RunningKafka, make_topics
from tests.support.wall_clock import wall_clock

pytestmark = [pytest.mark.service, pytest.mark.patient]

HOUR_S = 3_600.0
OF_1970 = -math.inf
WRITE = """
import sys
from contracts.batch import Batch
from streams.kafka import KafkaCluster
from streams.log.kafka.kafka_log import KafkaLogWriter
with KafkaCluster(sys.argv[1]) as cluster:
    assert KafkaLogWriter(cluster, sys.argv[2], [0]).append([Batch(partition=0, watermark_ms=1)]) == [0]
"""


@pytest.mark.parametrize("off_s", [5 * HOUR_S, 60 * 24 * HOUR_S, -5 * HOUR_S, -60 * 24 * HOUR_S, OF_1970])
def test_a_record_has_the_time_of_the_brokers_not_of_its_writer(
    kafka: RunningKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: float
) -> None:
    names = make_topics(kafka.url)
    before_ms = wall_ms()
    with wall_clock(tmp_path, monkeypatch) as clock:
        if off_s == OF_1970:
            clock.of_1970()
        else:
            clock.off_by(off_s)
        done = subprocess.run([sys.executable, "-c", WRITE, kafka.url, names.log], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    with KafkaCluster(kafka.url) as cluster:
        (record,) = KafkaLogReader(cluster, names.log, 0).read(0, 10)
    assert before_ms <= record.at_ms <= wall_ms()
