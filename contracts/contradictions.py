"""One id with two contents: the first finding stands, operators hear of both, and everything goes on. Pure.

See docs/protocol.md#one-id-two-contents. Every store of findings asks here, so that all of them object alike.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from contracts.erasure import was_erased
from contracts.findings import Fact, Finding, content_of


class Contradiction(msgspec.Struct, frozen=True):
    """Two findings of one id that differ. ``differing`` names fields and codes of facts, never what they say."""

    finding_id: str
    site_id: str
    rule: str
    positions: tuple[int, int]
    rule_versions: tuple[int, int]
    differing: tuple[str, ...]

    @property
    def detail(self) -> str:
        """Return it for operators: ids, numbers and names of fields, no personal data."""
        (first, again), (version, version_again) = self.positions, self.rule_versions
        return (
            f"finding {self.finding_id} of {self.rule} at site {self.site_id}: position {first} (rule version "
            f"{version}) and position {again} (rule version {version_again}) differ in {', '.join(self.differing)}; "
            "the first one stands"
        )


OnContradiction = Callable[[Contradiction], None]


def pass_over_contradiction(contradiction: Contradiction) -> None:
    """Say nothing: for who only wants the first finding to stand."""


def contradiction_of(first: Finding, again: Finding) -> Contradiction | None:
    """Return how ``again`` contradicts ``first``, which has its id; None when it says the same.

    A site's configuration may have changed between two decisions about one event: then the later one was held against
    other numbers and contradicts nobody.
    """
    if first.config_version != again.config_version or says_the_same(first, again):
        return None
    return Contradiction(
        first.finding_id,
        first.site_id,
        first.rule,
        (first.position, again.position),
        (first.rule_version, again.rule_version),
        _differing(content_of(first), content_of(again)),
    )


def says_the_same(first: Finding, again: Finding) -> bool:
    """Return whether two findings of one id have one content, as far as an erasure has left it."""
    return content_of(first) == content_of(again) or was_erased(first) or was_erased(again)


def _differing(first: Finding, again: Finding) -> tuple[str, ...]:
    fields = [name for name in Finding.__struct_fields__ if getattr(first, name) != getattr(again, name)]
    return tuple(_facts(first.facts, again.facts) if name == "facts" else name for name in fields)


def _facts(first: tuple[Fact, ...], again: tuple[Fact, ...]) -> str:
    codes = dict.fromkeys(fact.code for fact in (*first, *again) if fact not in first or fact not in again)
    return f"facts ({', '.join(codes) or 'their order'})"
