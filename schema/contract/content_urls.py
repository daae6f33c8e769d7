"""The port of the addresses of files: short-lived URLs by which a browser loads the content of a file.

An implementation is bound to one principal and one operation. It checks whether the principal may read the content of
each file, so that an address is made only for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schema.contract.ports import Results


class ContentUrls(Protocol):
    """Makes addresses of the contents of files. Nothing of it is an upstream call."""

    async def make_urls(self, file_ids: Sequence[str]) -> Results[str | None]:
        """Make one absolute address for each file, in the order of the ids.

        A value is None where the principal may not read the content, or where no address can be made. An error stands
        in the place of one file's address, such as `LEDGER_UNAVAILABLE` where its owner cannot be found out.
        """
