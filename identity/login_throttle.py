"""Login throttling: who fails often waits ever longer, by name and address together, and by address. Time comes in.

A name alone is never made to wait: else anybody could lock its owner out. An attempt counts before it is tried, so
that many at once are no more than one after the other.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Hashable

FREE_FAILURES = 5
FREE_FAILURES_OF_ADDRESS = 20
"""Several people may share an address: one behind a router has more free failures than one name at it."""
_FIRST_WAIT_MS = 2_000
_LONGEST_WAIT_MS = 15 * 60_000
_FORGET_MS = 60 * 60_000
_MAX_KEYS = 10_000
_OWN_BITS = 64  # of an IPv6 address; whoever has a line has all the addresses below them


class LoginThrottle:
    """Says how long an attempt must wait, and counts those that may be tried."""

    def __init__(self, free: int = FREE_FAILURES, free_of_address: int = FREE_FAILURES_OF_ADDRESS) -> None:
        self._lock = threading.Lock()
        self._pairs = _Failures(free)
        self._addresses = _Failures(free_of_address)

    def reserve(self, name: str, address: str, now_ms: int) -> int:
        """Return 0 and count a failure, or how long (ms) ``name`` at ``address`` must still wait.

        What was counted is taken back by :meth:`succeeded` or :meth:`not_tried`.
        """
        network = network_of(address)
        with self._lock:
            wait_ms = max(self._pairs.wait_ms((name, network), now_ms), self._addresses.wait_ms(network, now_ms))
            if not wait_ms:
                self._pairs.add((name, network), now_ms)
                self._addresses.add(network, now_ms)
            return wait_ms

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of the name at this address; of the address only the attempt itself."""
        network = network_of(address)
        with self._lock:
            self._pairs.forget((name, network))
            self._addresses.take_back(network)

    def not_tried(self, name: str, address: str) -> None:
        """Take an attempt back that was reserved and then not tried."""
        network = network_of(address)
        with self._lock:
            self._pairs.take_back((name, network))
            self._addresses.take_back(network)


def network_of(address: str) -> str:
    """Return what an address is counted under: itself, of IPv6 the network that one line has.

    >>> network_of("::ffff:192.0.2.7"), network_of("2001:db8:1:2:3:4:5:6"), network_of("testclient")
    ('192.0.2.7', '2001:db8:1:2::', 'testclient')
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(ip) >> _OWN_BITS << _OWN_BITS))


class _Failures:
    """Counts failures per key; bounded, the least recently failed key is forgotten first."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._failures: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def wait_ms(self, key: Hashable, now_ms: int) -> int:
        """Return how long ``key`` must still wait; never longer than its wait, whatever the clock did since."""
        count, last_ms = self._failures.get(key, (0, 0))
        if count < self._free or now_ms - last_ms > _FORGET_MS:
            return 0
        wait = min(_FIRST_WAIT_MS << min(count - self._free, 20), _LONGEST_WAIT_MS)
        return min(max(0, last_ms + wait - now_ms), wait)

    def add(self, key: Hashable, now_ms: int) -> None:
        count, last_ms = self._failures.pop(key, (0, now_ms))
        self._failures[key] = (1 if now_ms - last_ms > _FORGET_MS else count + 1, now_ms)
        while len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)

    def take_back(self, key: Hashable) -> None:
        count, last_ms = self._failures.get(key, (0, 0))
        if count > 1:
            self._failures[key] = (count - 1, last_ms)
        else:
            self._failures.pop(key, None)

    def forget(self, key: Hashable) -> None:
        self._failures.pop(key, None)
