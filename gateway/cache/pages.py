"""Which objects a page holds, by their own keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.cache.names import Key
from schema.keys import AssistantKey, MessageFileKey, MessageKey, NodeKey, RunKey, RunStepKey
from schema.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.wire import Page


def objects_of(key: Key, page: Page[Any]) -> Iterator[tuple[NodeKey, Any]]:
    """Give each object of a page with the key under which it is found alone."""
    for one in page.data:
        match key:
            case MessagePageKey(thread_id=thread_id):
                yield MessageKey(thread_id, one.id), one
            case RunPageKey(thread_id=thread_id):
                yield RunKey(thread_id, one.id), one
            case RunStepPageKey(thread_id=thread_id, run_id=run_id):
                yield RunStepKey(thread_id, run_id, one.id), one
            case AssistantPageKey():
                yield AssistantKey(one.id), one
            case MessageFilePageKey(thread_id=thread_id, message_id=message_id):
                yield MessageFileKey(thread_id, message_id, one.id), one
