"""Which of the names that there are was probably meant: said in every error about an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(wrong: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """Return the name that is most like ``wrong``; None when none is ``alike`` enough, 0–1.

    >>> nearest("smok", ("smoke", "heat")), nearest("x", ("smoke", "heat"))
    ('smoke', None)
    """
    close = difflib.get_close_matches(wrong, sorted(known), n=1, cutoff=alike)
    return close[0] if close else None


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Say which of the ``known`` names was probably meant, or name them all.

    >>> did_you_mean("smok", ("smoke", "heat")), did_you_mean("x", ("smoke", "heat"))
    ("did you mean 'smoke'?", 'expected one of heat, smoke')
    """
    names = sorted(known)
    close = nearest(wrong, names)
    return f"did you mean {close!r}?" if close else f"expected one of {', '.join(names)}"
