"""Passwords: scrypt with its parameters in the text, so that they can be raised later."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets

_N, _R, _P = 2**15, 8, 3
"""Of those that OWASP gives as equally strong, the one with 32 MiB a try: some 200 ms on one small core."""
_MAXMEM = 64 * 1024 * 1024
MIN_LENGTH = 10
MAX_LENGTH = 256


def hash_password(password: str) -> str:
    """Return ``scrypt$n$r$p$salt$hash`` with a new random salt."""
    salt = os.urandom(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def is_password(password: str, hashed: str) -> bool:
    """Return whether ``password`` is the one that was hashed; in constant time for any wrong one."""
    _name, n, r, p, salt, expected = hashed.split("$")
    made = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, bytes.fromhex(expected))


def is_outdated(hashed: str) -> bool:
    """Return whether a hash was made with other parameters than today's."""
    return hashed.split("$")[1:4] != [str(_N), str(_R), str(_P)]


def random_password() -> str:
    """Return a password of 20 letters and digits, without those that look alike."""
    alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "".join(secrets.choice(alphabet) for _ in range(20))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAXMEM, dklen=32)
