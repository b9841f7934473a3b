"""A site's line of time: what stands in the log moves onto it, by as much as the log's time stepped. Pure.

See docs/protocol.md#steps-of-the-clock. Times that people set for the future, such as a visit, stay what they are on
the log's time, and so move on the line whenever that steps.
"""

from __future__ import annotations

import msgspec

from contracts.event_times import move
from contracts.events import AnyEvent, VisitorRegistered
from detectors.core.site_view import SiteView


def to_line(event: AnyEvent, offset_ms: int) -> AnyEvent:
    """Return the event on the line; its offset is the log's time less the line's."""
    moved = move(event, -offset_ms)
    return visit_moved(moved, -offset_ms) if isinstance(moved, VisitorRegistered) else moved


def visit_moved(visit: VisitorRegistered, by_ms: int) -> VisitorRegistered:
    """Return the visit with the times that were announced moved; 0 stays: there is none."""
    times = {name: max(at_ms + by_ms, 1) for name in ("from_ms", "to_ms") if (at_ms := getattr(visit, name))}
    return msgspec.structs.replace(visit, **times)


def shift_view(view: SiteView, by_ms: int) -> None:
    """Take in a view that the log's time moves by ``by_ms``."""
    view.replace_visitors({key: visit_moved(visit, -by_ms) for key, visit in view.visitors.items()})
