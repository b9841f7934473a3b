"""How many files a process may have open, and how many connections of strangers that leaves room for.

Beyond the limit nothing opens any more: no database, no broker, no log. So connections take only what the rest does
not need.
"""

from __future__ import annotations

import resource

from console.api.connections import MOST_CONNECTIONS
from contracts.errors import ConfigurationError

RESERVED = 448
"""For everything of a process but its connections: databases with their pools, log files, brokers, what is queued."""
PER_CONNECTION = 2
"""The connection itself, and the picture that it takes or gives."""
MOST = MOST_CONNECTIONS
"""Also where more files are allowed: the client of MQTT cannot wait for a descriptor above 1023."""
_LEAST = 16


def open_files_limit() -> int:
    """Return how many files this process may have open; 2³¹ for no limit."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def connections_for(limit: int) -> int:
    """Return how many connections a process with this limit may hold at once.

    >>> connections_for(1024), connections_for(600), connections_for(2**31)
    (256, 76, 256)

    Raises:
        ConfigurationError: there is no room for a handful.
    """
    found = min((limit - RESERVED) // PER_CONNECTION, MOST)
    if found < _LEAST:
        needed = RESERVED + MOST * PER_CONNECTION
        raise ConfigurationError(
            f"only {limit} files may be open: allow {needed} (ulimit -n, or LimitNOFILE= of a unit)"
        )
    return found
