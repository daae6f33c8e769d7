"""The callers whose own credential the upstream has accepted a moment ago: only for them is anything read or stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

from gateway.background_tasks import BackgroundTasks
from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Principal
from gateway.upstream.connection_pool import NO_CONVERSATION
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import ASSISTANTS, THREADS, AssistantPageKey
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi

ACCEPTED_SECONDS = 300.0
"""How long an answer of the upstream stands for the next one."""

LONGEST_OPERATION_SECONDS = 60.0
"""How long an operation may take, by default, between its prediction and its last read."""

OpenUpstream: TypeAlias = Callable[[], ThreadsApi]
"""Opens the port of an operation without a cache."""

_SMALLEST_PAGE = AssistantPageKey(Window(1, "desc"))
_ANY_CONVERSATION = ThreadKey(NO_CONVERSATION)
"""What an upstream without assistants is asked for."""


class UpstreamAcceptance:
    """The questions of one process whether the upstream accepts a caller. Made inside the running loop.

    The gateway's own key needs no acceptance, because no caller can have invented it. Ended by `aclose`.
    """

    def __init__(self, accepted: AcceptedCredentials) -> None:
        """Remember the answers in `accepted`, which also gets the status of each other response."""
        self._accepted = accepted
        self._questions: dict[str, asyncio.Task[GatewayError | None]] = {}
        self._tasks = BackgroundTasks(logs_errors=False)

    def is_accepted(self, principal: Principal) -> bool:
        """Return whether anything may be read and stored for a principal now."""
        return principal.uses_own_key or self._accepted.is_recent(principal.digest, ACCEPTED_SECONDS)

    def needs_question(self, principal: Principal) -> bool:
        """Return whether an operation that begins now may have to ask."""
        known_seconds = ACCEPTED_SECONDS - LONGEST_OPERATION_SECONDS
        return not principal.uses_own_key and not self._accepted.is_recent(principal.digest, known_seconds)

    async def check(self, principal: Principal, open_upstream: OpenUpstream) -> None:
        """Check that a principal is accepted. If that is not known, the upstream is asked once, for all who ask.

        Raises:
            GatewayError: The upstream refuses the credential, or does not answer.
        """
        if self.is_accepted(principal):
            return
        digest = principal.digest
        question = self._questions.get(digest)
        if question is None:
            question = self._questions[digest] = self._tasks.start(_ask(open_upstream()))
            question.add_done_callback(lambda _: self._questions.pop(digest, None))
        error = await asyncio.shield(question)
        if error is not None:
            raise error.with_traceback(None)
        self._accepted.record_status(digest, HTTPStatus.OK)

    async def aclose(self) -> None:
        """End the questions that are asked."""
        await self._tasks.aclose()


async def _ask(api: ThreadsApi) -> GatewayError | None:
    answer: object
    if api.capabilities.version == "responses":
        (answer,) = await api.get(THREADS, [_ANY_CONVERSATION])
        if isinstance(answer, GatewayError) and answer.code is ErrorCode.NOT_FOUND:
            return None
    else:
        (answer,) = await api.list(ASSISTANTS, [_SMALLEST_PAGE])
    return answer if isinstance(answer, GatewayError) else None
