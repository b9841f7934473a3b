"""Types of what a request may carry: every number and text has bounds that every store can keep."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field

MAX_EPOCH_MS = 253_402_300_799_000
"""The last second of the year 9999, as in events."""
MAX_SEQ = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly."""
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL."""

EpochMs = Annotated[int, Field(ge=0, le=MAX_EPOCH_MS)]
Seq = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Code = Annotated[str, Field(max_length=40, pattern=NO_NUL)]
"""A site, a scenario, a name."""
ShortText = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
LongText = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
IncidentId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
FileHash = Annotated[str, Path(max_length=64, pattern=r"^[0-9a-f]{64}$")]
