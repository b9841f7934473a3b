"""Where in the program an error arose. What it says is left out: it may quote what a device or a person wrote. Pure."""

from __future__ import annotations


def failure_place(error: BaseException) -> str:
    """Return the kind of an error and the lines of the program that lead to it, the innermost first.

    >>> try:
    ...     {}["zhang-san"]
    ... except KeyError as error:
    ...     failure_place(error).startswith("KeyError at ")
    True
    """
    lines, frame = [], error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        lines.append(f"{code.co_filename.rpartition('/')[2]}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return f"{type(error).__name__} at {' < '.join(reversed(lines[-8:]))}"
