"""What root may do in spite of permissions, taken from a test for a while: a read-only folder is one then."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CAPGET, _CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}.get(os.uname().machine, (0, 0))
_VERSION_3 = 0x20080522
_OVERRIDES = 0b111  # chown, dac_override, dac_read_search: the first three capabilities of Linux
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def without_overrides() -> Iterator[None]:
    """Let this thread be bound by the permissions of files, also where it is root's."""
    if os.geteuid() != 0:
        yield
        return
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _call(_CAPGET, header, data)
    before = data[0].effective
    data[0].effective = before & ~_OVERRIDES
    _call(_CAPSET, header, data)
    try:
        yield
    finally:
        data[0].effective = before
        _call(_CAPSET, header, data)


def _call(number: int, header: _Header, data: ctypes.Array[_Data]) -> None:
    if _LIBC.syscall(number, ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be changed")
