"""The pages of other origins that may call the gateway. Pure.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol and https://www.rfc-editor.org/rfc/rfc6454, section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.identity.this_machine import is_loopback_page

LOCALHOST_PAGES = "http://localhost:*"
"""The only pattern: pages of this machine by `http`, whichever its port and its loopback name."""


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """Origins in lower case, each `scheme://host[:port]`, and whether all pages of localhost are allowed too."""

    exact: frozenset[str] = frozenset()
    localhost_pages: bool = False

    @classmethod
    def from_names(cls, names: Iterable[str]) -> AllowedOrigins:
        """Make the origins of a checked list, which may hold `LOCALHOST_PAGES`."""
        listed = frozenset(names)
        return cls(listed - {LOCALHOST_PAGES}, LOCALHOST_PAGES in listed)

    def __bool__(self) -> bool:
        """Whether any origin is allowed."""
        return bool(self.exact) or self.localhost_pages

    def allows(self, origin: str | None) -> bool:
        """Tell whether a page of this `Origin` may call the gateway. `null`, which any page can have, may not."""
        if origin is None:
            return False
        origin = origin.lower()
        if origin in self.exact:
            return True
        return self.localhost_pages and origin.startswith("http://") and is_loopback_page(origin)
