"""Reads of responses within one operation, in which several parts of a run come from the same response."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gateway.upstream.bound_calls import BoundCalls
from gateway.upstream.responses.conversation_operations import GET_RESPONSE, OneResponseKey
from gateway.upstream.responses.response_wire import ResponseObject
from schema.contract.errors import GatewayError


class ResponseReads:
    """Reads responses; those who want one that is being read wait for it. Nothing is kept once it was read."""

    def __init__(self, calls: BoundCalls) -> None:
        self._calls = calls
        self._reading: dict[str, asyncio.Future[ResponseObject | GatewayError | None]] = {}

    async def read(self, response_ids: Sequence[str]) -> Mapping[str, ResponseObject | GatewayError]:
        """Read responses at the same time, each once. A failure is returned as a value."""
        ids = list(dict.fromkeys(response_ids))
        awaited = {each: self._reading[each] for each in ids if each in self._reading}
        found = await self._read_all([each for each in ids if each not in awaited])
        if awaited:
            # Does not cancel them if this reader is cancelled.
            await asyncio.wait(awaited.values())
        given_up: list[str] = []
        for response_id, future in awaited.items():
            if (result := future.result()) is None:
                given_up.append(response_id)
            else:
                found[response_id] = result
        return {**found, **(await self.read(given_up))} if given_up else found

    async def _read_all(self, ids: Sequence[str]) -> dict[str, ResponseObject | GatewayError]:
        """Read responses that no other reader has begun to read. If this one is cancelled, those who wait get None."""
        loop = asyncio.get_running_loop()
        futures = {each: loop.create_future() for each in ids}
        self._reading |= futures
        found: dict[str, ResponseObject | GatewayError] = {}
        try:
            results = await self._calls.read_all(GET_RESPONSE, [OneResponseKey(each) for each in ids])
            found = dict(zip(ids, results, strict=True))
        finally:
            for response_id, future in futures.items():
                del self._reading[response_id]
                future.set_result(found.get(response_id))
        return found
