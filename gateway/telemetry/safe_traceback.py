"""The traceback of an exception without the values that it ran into. Pure, except that it reads source files.

The text of an exception often quotes what it was raised for: a message, a key, a URL. So it is not shown, and neither
are local variables. What is shown is where and how it was raised: the lines of the source, the last of which is often
the `raise` with its own words.
"""

from __future__ import annotations

import os
import traceback

from gateway.telemetry.scrubbing import scrub

MAX_EXCEPTIONS = 10
MAX_FRAMES = 30
MAX_TRACEBACK_LENGTH = 16 << 10

_NAMING_ERRORS = (AttributeError, NameError, ImportError)


def format_safely(error: BaseException) -> str:
    """Format an exception with those that led to it, the one that was raised first on top, as Python does."""
    parts: list[str] = []
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen and len(parts) < MAX_EXCEPTIONS:
        seen.add(id(one))
        parts.append(_format_one(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    text = "\nThe next one was raised because of it, or while it was handled:\n\n".join(reversed(parts))
    return text[-MAX_TRACEBACK_LENGTH:]


def describe_exception(error: BaseException) -> str:
    """Return the type of an exception, with the words that the system or the interpreter has for it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return f"{name}: [Errno {error.errno}] {os.strerror(error.errno)}"
    # The interpreter sets the name; code that raises such an error with words of its own does not.
    if isinstance(error, _NAMING_ERRORS) and (error.name or "").isidentifier():
        return f"{name}: {scrub(str(error))[:200]}"
    return name


def _format_one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__, -MAX_FRAMES))
    lines = f"Traceback (most recent call last):\n{frames}" if frames else ""
    text = f"{lines}{describe_exception(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        members = [format_safely(member) for member in error.exceptions[:MAX_EXCEPTIONS]]
        text += "".join(f"One of the group:\n{member}" for member in members)
    return text
