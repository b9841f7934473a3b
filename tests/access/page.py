"""Writes docs/access.md from the tables: ``python -m tests.access.page``, part of ``make schemas``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from contracts.incidents import AlertAction
from contracts.names import Channel
from tests.access.tables import ANSWERS, CHANNELS, DEVICES, OTHER_TOPICS, POSSIBLE, ROUTES, Caller, Line, MayDo

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"

_HEAD = """\
# Who may do what

Written by `make schemas` from `tests/access/tables.py`. `tests/access` tries every cell: on a real mosquitto with the access list that is shipped
(`deploy/mosquitto/devices.acl`, `platform.acl`), and on the console's own routes. A route without a line fails there.

"""
_BROKER = """\
## The broker
An account of a device or box is named like its topics. *says*: its messages are passed on. *hears*: it is given them, whatever it subscribes to.
Without an account nobody gets in.

"""
_CONSOLE = """\
## The console
The columns are who asks about one site. *elsewhere* is a role at another site only. 401: without a session. 403: without the right. 404: it is not said
whether it is there. A change is also refused (403) without the header `X-Linli-Request`, which another site's page cannot send.

"""
_ACTIONS = """\
## Actions on an alert
What is possible at all, for who has the right; anything else is answered with 409.

"""


def page() -> str:
    """Return the page."""
    channels = _table(["topic", *map(_account, CHANNELS)], _broker_rows())
    routes = _table(["route", *Caller], _route_rows())
    actions = _table(["state", *AlertAction], _action_rows())
    return f"{_HEAD}{_BROKER}{channels}\n{_CONSOLE}{routes}\n{_ACTIONS}{actions}"


def _account(account: str) -> str:
    return f"`{account}`" if account else "no account"


def _broker_rows() -> Iterator[Sequence[str]]:
    for device in DEVICES:
        for channel in Channel:
            cells = [_may(CHANNELS[account].get(device, MayDo()), channel) for account in CHANNELS]
            yield (f"`linli/v1/{device}/{channel}`", *cells)
    for topic, may in OTHER_TOPICS.items():
        yield (f"`{topic}`", *(may.get(account, "–") for account in CHANNELS))


def _may(may: MayDo, channel: Channel) -> str:
    said = [word for word, among in (("says", may.says), ("hears", may.hears)) if channel in among]
    return ", ".join(said) or "–"


def _route_rows() -> Iterator[Sequence[str]]:
    for route, lines in ROUTES.items():
        for line in lines:
            yield (_way(route, line), *(str(ANSWERS[line.need][caller]) for caller in Caller))


def _way(route: str, line: Line) -> str:
    shown = f"; {line.shows}" if line.shows else ""
    return f"`{route}`{f' {line.way}' if line.way else ''}{shown}"


def _action_rows() -> Iterator[Sequence[str]]:
    for state, possible in POSSIBLE.items():
        yield (f"`{state}`", *("yes" if action in possible else "–" for action in AlertAction))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write it."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
