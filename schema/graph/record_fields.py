"""Fields of a thread that its record answers: what the gateway keeps of it, beside the upstream's object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from schema.contract.thread_records import ThreadRecord, TokenUsage
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.graph.documented_field import loading_field
from schema.graph.field_loads import RecordLoad
from schema.graph.leaf_types import Usage
from schema.graph.scalars import DateTime


def record_field(get: Callable[[Any, ThreadRecord], Any]) -> Any:
    """Make a GraphQL field of a function of a thread and its record. It is null where nothing is kept of the thread."""

    def resolve(self: Any, info: Info) -> Any:
        viewer = info.context.read_viewer()
        if viewer is None:
            return None

        def finish(load: asyncio.Future[ThreadRecord | None]) -> Any:
            record = load.result()
            return None if record is None else get(self, record)

        return then(viewer.records.start_load(self.key), finish)

    return loading_field(RecordLoad(), get, resolve, first_argument=2)


def date_time_from_ms(milliseconds: int) -> DateTime:
    """Convert a time of a record."""
    return DateTime(milliseconds / 1000)


def usage_from_tokens(tokens: TokenUsage) -> Usage:
    """Convert a sum of used tokens."""
    return Usage(
        prompt_tokens=tokens.prompt_tokens,
        completion_tokens=tokens.completion_tokens,
        total_tokens=tokens.total_tokens,
        cached_tokens=tokens.cached_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
    )
