"""A site's own numbers: what a rule may not be given is passed over, and what was in force before stays so."""

from __future__ import annotations

import math

import msgspec
import pytest

from contracts.events import AnyEvent, DoorState
from detectors.registry import all_rules
from streams.engine.engine import Engine
from streams.engine.rulebook import Rulebook
from streams.engine.snapshot import decode_row, encode_row
from tests.streams.rules import Held
from tests.streams.support import T0, batch, door, engine_of, feed_all, findings, threshold

OPENED = door("o1", 10_000, state=DoorState.OPEN)


def _held_ms(*records: AnyEvent) -> tuple[int, Engine]:
    """After how long the door is found held, with ``records`` before it."""
    engine = engine_of([Held()])
    (finding,) = findings(feed_all(engine, [batch(None, *records, OPENED), batch(900_000)]))
    return finding.decided_ms - T0 - 10_000, engine


def test_a_number_in_its_range_replaces_the_default() -> None:
    held_ms, engine = _held_ms(threshold(1, 0, "held", "held_ms", 9_000))
    assert (held_ms, engine.counts.thresholds_passed_over) == (9_000, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 999.9, 3_600_000.1])
def test_what_is_no_number_in_its_range_leaves_the_one_before_in_force(value: float) -> None:
    held_ms, engine = _held_ms(threshold(1, 0, "held", "held_ms", 9_000), threshold(2, 1, "held", "held_ms", value))
    assert (held_ms, engine.counts.thresholds_passed_over) == (9_000, 1)
    assert _held_ms(threshold(1, 0, "held", "held_ms", value))[0] == 30_000


def test_a_record_that_is_passed_over_still_moves_the_version_of_the_configuration() -> None:
    engine = engine_of([Held()])
    log = [batch(None, threshold(7, 0, "held", "held_ms", -1), OPENED), batch(900_000)]
    assert [finding.config_version for finding in findings(feed_all(engine, log))] == [7]


def test_one_that_no_rule_reads_is_counted_and_kept_for_a_later_version_that_does() -> None:
    held_ms, engine = _held_ms(threshold(1, 0, "other", "held_ms", 9_000), threshold(2, 0, "held", "hold_ms", 9_000))
    assert (held_ms, engine.counts.thresholds_passed_over) == (30_000, 2)
    (view,) = decode_row(engine.snapshot("s1")).views
    assert view.thresholds == {"other.held_ms": 9_000.0, "held.hold_ms": 9_000.0}


def test_taking_back_a_wrong_number_is_no_mistake() -> None:
    held_ms, engine = _held_ms(
        threshold(1, 0, "held", "held_ms", 9_000), threshold(2, 1, "held", "held_ms", -1, removed=True)
    )
    assert (held_ms, engine.counts.thresholds_passed_over) == (30_000, 0)


def test_a_wrong_number_in_an_earlier_versions_snapshot_gives_way_to_the_default() -> None:
    lived = engine_of([Held()])
    feed_all(lived, [batch(None, threshold(1, 0, "held", "held_ms", 9_000))])
    feed_all(lived, [batch(1_000)])
    row, manifest = lived.snapshot("s1"), lived.manifest()
    content = decode_row(row)
    (view,) = content.views
    wrong = msgspec.structs.replace(view, thresholds={"held.held_ms": math.nan})
    again = engine_of([Held()])
    again.restore([encode_row(msgspec.structs.replace(content, views=(wrong,)), row.digest)], manifest)
    (finding,) = findings(feed_all(again, [batch(None, OPENED), batch(900_000)]))
    assert finding.decided_ms == T0 + 10_000 + 30_000


def test_the_rules_of_the_product_follow_every_threshold_that_they_declare() -> None:
    book = Rulebook(all_rules())
    declared = [t for rule in all_rules() for t in (*rule.facts.thresholds, *rule.facts.reads)]
    assert declared
    for each in declared:
        assert not book.refuses(each.key, each.default), f"{each.key}: its default is not allowed by its own range"
        assert book.is_followed(threshold(1, 0, each.rule, each.name, each.default))
        assert book.refuses(each.key, math.nan)
