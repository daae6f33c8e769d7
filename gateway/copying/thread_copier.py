"""Copies threads: each is created empty, filled in order, and then known by its old id. It may break off anywhere.

What was done stays done. A thread whose copy was begun is deleted at the target and begun anew, so that no message is
there twice. Between its creation and the record of its id lies one moment: what is killed then leaves a thread without
messages that nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable

from gateway.copying.copy_ends import CopySource, CopyTarget
from gateway.copying.copy_ledger import CopiedThread, CopyLedger
from gateway.copying.copy_outcome import CopyOutcome, for_each
from gateway.copying.file_copier import FileCopier
from gateway.copying.message_plan import Loss, MessagePlan, losses_of_thread, plan_message
from gateway.ledger.ledger_store import ObjectKind
from schema.contract.bodies import MessageBody
from schema.contract.errors import GatewayError, OwnKeyRefusedError
from schema.contract.wire import MessageObject

MAX_FAILURES_IN_A_ROW = 10
"""Failures in a row behind which the upstream is taken to be away, so that the copy breaks off."""


class ThreadCopier:
    """Copies threads from a source to a target. `on_progress` gets the number of threads that were looked at."""

    def __init__(
        self,
        source: CopySource,
        target: CopyTarget,
        ledger: CopyLedger,
        files: FileCopier,
        *,
        on_progress: Callable[[int], None],
    ) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self.files = files
        self._on_progress = on_progress
        self._failures_in_a_row = 0
        self.outcome = CopyOutcome()

    async def copy_all(self, thread_ids: AsyncIterator[str]) -> None:
        """Copy threads, several at once.

        Raises:
            GatewayError: An upstream does not answer, or refuses the key. What was copied until then stays.
            LedgerUnavailableError: The ledger does not answer.
        """
        await for_each(thread_ids, self._copy_thread)

    async def _copy_thread(self, old_id: str) -> None:
        try:
            await self._copy(old_id)
        except GatewayError as error:
            self.outcome.failures[old_id] = error
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW or isinstance(error, OwnKeyRefusedError):
                raise
        else:
            self._failures_in_a_row = 0
        self._on_progress(self.outcome.thread_count)

    async def _copy(self, old_id: str) -> None:
        begun = await self._ledger.find_copy(ObjectKind.THREAD, old_id)
        if begun is not None and begun.is_done:
            await self._ledger.remove_moved(old_id)
            self.outcome.present += 1
            return
        thread = await self._source.find_thread(old_id)
        if thread is None:
            self.outcome.missing += 1
            return
        if begun is not None and begun.new_id is not None:
            await self._target.delete_thread(begun.new_id)
            await self._ledger.drop_thread(begun.new_id)
        await self._ledger.begin_thread(old_id)
        new_id = await self._target.create_thread(thread.metadata)
        await self._ledger.begin_thread(old_id, new_id)
        losses = losses_of_thread(thread)
        messages = await self._copy_messages(old_id, new_id, losses)
        await self._ledger.finish_thread(CopiedThread(old_id, new_id, thread.created_at, messages))
        self.outcome.copied += 1
        self.outcome.messages += len(messages)
        self.outcome.losses += losses

    async def _copy_messages(self, old_id: str, new_id: str, losses: Counter[Loss]) -> list[tuple[str, MessageObject]]:
        copied: list[tuple[str, MessageObject]] = []
        async for page in self._source.read_messages(old_id):
            plans = [plan_message(message, self._target.rules) for message in page]
            planned = [each for plan in plans if (each := await self._to_body(plan, losses)) is not None]
            for start in range(0, len(planned), self._target.batch_size):
                batch = planned[start : start + self._target.batch_size]
                ids = await self._target.create_messages(new_id, batch)
                copied += [(new, message) for new, (_, message) in zip(ids, batch, strict=True)]
        return copied

    async def _to_body(self, plan: MessagePlan, losses: Counter[Loss]) -> tuple[MessageBody, MessageObject] | None:
        body, lost = plan.to_body(await self.files.find_new_ids(plan.file_ids))
        losses += lost
        return None if body is None else (body, plan.source)
