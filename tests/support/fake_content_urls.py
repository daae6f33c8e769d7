"""A fake `ContentUrls`: it makes plain addresses, refuses some files, and counts its batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schema.contract.errors import GatewayError
from schema.contract.ports import Results


@dataclass
class FakeContentUrls:
    """Makes the address of each file, None of those in `hidden`, and the error of those in `fail`.

    `calls` holds the ids of each call.
    """

    hidden: set[str] = field(default_factory=set)
    fail: dict[str, GatewayError] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def make_urls(self, file_ids: Sequence[str]) -> Results[str | None]:
        self.calls.append(tuple(file_ids))
        return [self.fail.get(one) or (None if one in self.hidden else to_url(one)) for one in file_ids]


def to_url(file_id: str) -> str:
    """Return the address that the fake makes."""
    return f"https://gateway.example/files/{file_id}"
