"""An InfluxDB whose credentials may be exchanged while results are written: no process is started again for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from contracts.proofs import ProofsInTurn
from streams.results.influx import Influx, InfluxCredentials
from streams.results.points import Point
from streams.results.query import Query, ResultRow
from streams.results.target import StoreMisconfigured

R = TypeVar("R")


class ExchangedInflux:
    """A :class:`streams.results.target.PointStore` and :class:`streams.results.query.ResultsStore`.

    Args:
        connect: gives the store for some credentials.
        credentials_now: asked for each request: those that count, and those that follow while they are exchanged.

    Raises:
        ConfigurationError: credentials cannot be read, or a file of TLS cannot be used.
    """

    def __init__(
        self,
        connect: Callable[[InfluxCredentials], Influx],
        credentials_now: Callable[[], Sequence[InfluxCredentials]],
    ) -> None:
        self._connect = connect
        self._proofs = ProofsInTurn(credentials_now)
        self._by = next(iter(self._proofs))
        self._store = connect(self._by)

    def write(self, points: Sequence[Point]) -> None:
        """See :class:`streams.results.target.PointStore`."""
        self._proven(lambda store: store.write(points))

    def select(self, query: Query) -> list[ResultRow]:
        """See :class:`streams.results.query.ResultsStore`."""
        return self._proven(lambda store: store.select(query))

    def close(self) -> None:
        """Close every connection."""
        self._store.close()

    def _proven(self, ask: Callable[[Influx], R]) -> R:
        """Return the answer, asked with all that may prove us until something is not refused."""
        refusal: StoreMisconfigured | None = None
        for credentials in self._proofs:
            try:
                answer = ask(self._store_by(credentials))
            except StoreMisconfigured as error:
                refusal = error
            else:
                self._proofs.taken = credentials
                return answer
        assert refusal is not None
        raise refusal

    def _store_by(self, credentials: InfluxCredentials) -> Influx:
        if credentials != self._by:
            self._store.close()
            self._store, self._by = self._connect(credentials), credentials
        return self._store
