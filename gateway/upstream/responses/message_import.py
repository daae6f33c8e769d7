"""Creates messages of elsewhere in conversations: as many as one call takes, with the times that they have there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.upstream.responses.conversation_operations import CREATE_ITEMS
from gateway.upstream.responses.kept_records import ItemRecord
from gateway.upstream.responses.response_requests import MAX_ITEMS, item_from_message
from gateway.upstream.responses.responses_client import ResponsesClient
from schema.contract.bodies import MessageBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.wire import MessageObject


class MessageImport:
    """Adds messages to the conversations that a credential reaches, `size` of them in one call."""

    size = MAX_ITEMS

    def __init__(self, client: ResponsesClient, credential: str, caller: str) -> None:
        self._calls = client.bind_calls(credential, caller=caller, is_own_key=True)
        self._chains = client.kept.chains

    async def create(self, thread_id: str, messages: Sequence[tuple[MessageBody, MessageObject]]) -> Sequence[str]:
        """Create messages in their order, each of which stands beside the one whose time it has. Returns their ids.

        Raises:
            GatewayError: The upstream refuses them, or answered with others.
        """
        items = [item_from_message(body) for body, _ in messages]
        created = await self._calls.send_write(
            CREATE_ITEMS, ThreadKey(thread_id), msgspec.json.encode({"items": items})
        )
        if len(created) != len(messages):
            raise GatewayError(
                ErrorCode.UPSTREAM_INVALID_RESPONSE,
                f"Expected the {len(messages)} items that were added, got {len(created)}.",
                retryable=False,
            )
        times = {
            item.id: ItemRecord(int(message.created_at))
            for item, (_, message) in zip(created, messages, strict=True)
            if message.created_at
        }
        await self._chains.add_items(thread_id, times)
        return [item.id for item in created]
