"""The table of the suite, a module for each part of an answer that can go wrong."""

from __future__ import annotations

from delivery.conformance.cases.answers import ANSWERS
from delivery.conformance.cases.bodies import BODIES
from delivery.conformance.cases.connections import CONNECTIONS
from delivery.conformance.cases.statuses import STATUSES
from delivery.conformance.cases.tls import TLS

CASES = (*STATUSES, *ANSWERS, *BODIES, *CONNECTIONS, *TLS)
