"""A name of evidence that is no hash goes no further than the boundary; what happened does."""

from __future__ import annotations

import pytest

from contracts.names import parse_topic
from ingest.pipeline.decode import decode
from ingest.pipeline.salvage import FieldFault
from tests.governance.planted import passage
from tests.incidents.builders import SHA_A, still
from tests.ingest.builders import wire

TOPIC = parse_topic("linli/v1/s1/gate/g1/evt")


@pytest.mark.parametrize("name", ["*" * 64, "A" * 64, "g" * 64, "../" * 21 + "x", "ａ" * 64])
def test_an_event_is_kept_without_evidence_that_no_file_can_have_the_name_of(name: str) -> None:
    said = passage("e1", 1, evidence=(still(SHA_A), still(name)))
    faults: list[FieldFault] = []
    assert decode(TOPIC, wire(said), "u", faults).evidence == (still(SHA_A),)
    assert [fault.field for fault in faults] == ["evidence"]


def test_evidence_with_good_names_is_kept_as_it_is() -> None:
    said = passage("e1", 1, evidence=(still(SHA_A), still("b" * 64)))
    assert decode(TOPIC, wire(said), "u").evidence == said.evidence
