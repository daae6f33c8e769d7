"""Which model answers, and within which bounds."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """A server of the chat-completions API, by its base URL (as ``http://127.0.0.1:11434/v1``).

    Without a ``name`` each run's own model is asked for. ``timeout_seconds`` is the longest wait for the next piece of
    an answer, be it the first. ``max_reply_bytes`` is a security limit: whoever runs the server may send no more.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    name: str | None = None
    timeout_seconds: float = 60.0
    max_at_once: int = 8
    max_waiting: int = 1000
    max_reply_bytes: int = 8 << 20
