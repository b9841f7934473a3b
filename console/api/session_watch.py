"""Whether a session still holds while a long answer is given: a person may be removed while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from identity.users import Session, Users


class SessionWatch:
    """Asks the store whether a session still holds, with the rights that the answer began with.

    Args:
        token: the session's, from the cookie.
        session: as it was when the answer began.
        every_s: how long an answer of the store is relied on while pieces of one answer go out.
    """

    def __init__(self, users: Users, token: str, session: Session, every_s: float) -> None:
        self._users = users
        self._token = token
        self._person = session.person
        self._every_s = every_s
        self._asked_s = time.monotonic()

    def holds(self) -> bool:
        """Return whether the session holds now. False also when the person's rights are others than before."""
        self._asked_s = time.monotonic()
        session = self._users.session_of(self._token)
        return session is not None and session.person == self._person

    @property
    def due(self) -> bool:
        """Whether the store was last asked longer ago than ``every_s``."""
        return time.monotonic() - self._asked_s >= self._every_s

    def guard(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield ``pieces`` while the session holds; the rest is not given."""
        for piece in pieces:
            if self.due and not self.holds():
                return
            yield piece
