"""Whole threads as sightings, read from the upstream: their runs, and their messages from the first on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from gateway.ledger.sightings import RecordOwner, Sighting
from gateway.viewer.seen_objects import seen_in_read
from schema.contract.errors import GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import MESSAGES, RUNS, THREADS, MessagePageKey, RunPageKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import ThreadsApi

ValueT = TypeVar("ValueT")


async def read_threads(
    api: ThreadsApi, owner: RecordOwner, thread_ids: Sequence[str], seen_at_ms: int
) -> list[Sighting]:
    """Read threads with their newest runs, one page of each, and all their messages.

    Raises:
        GatewayError: Something cannot be read.
    """
    threads = [ThreadKey(thread_id) for thread_id in thread_ids]
    runs = [RunPageKey(thread_id, Window(UPSTREAM_PAGE_SIZE, "desc")) for thread_id in thread_ids]
    sightings: list[Sighting] = []

    def see(keys: Sequence[Any], results: Sequence[ValueT | GatewayError]) -> list[ValueT]:
        seen: list[ValueT] = []
        for key, result in zip(keys, results, strict=True):
            if isinstance(result, GatewayError):
                raise result.with_traceback(None)
            sightings.extend(each.sighting for each in seen_in_read(owner, key, result, seen_at_ms))
            seen.append(result)
        return seen

    see(threads, await api.get(THREADS, threads))
    see(runs, await api.list(RUNS, runs))
    messages = [MessagePageKey(thread_id, None, Window(UPSTREAM_PAGE_SIZE, "asc")) for thread_id in thread_ids]
    while messages:
        pages = see(messages, await api.list(MESSAGES, messages))
        messages = [
            key._replace(window=key.window._replace(after=page.data[-1].id))
            for key, page in zip(messages, pages, strict=True)
            if page.has_more and page.data
        ]
    return sightings
