"""A look at the threads of a copy before it: their number, and what would not come along. It creates nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from gateway.copying.copy_ends import CopySource
from gateway.copying.copy_ledger import CopyLedger
from gateway.copying.copy_outcome import CopyOutcome, for_each
from gateway.copying.message_plan import Loss, MessageRules, losses_of_thread, plan_message
from gateway.ledger.ledger_store import ObjectKind
from schema.contract.wire import ThreadObject


class CopyPreview:
    """Reads what would be copied. `file_ids` are the files that messages name."""

    def __init__(
        self, source: CopySource, rules: MessageRules, ledger: CopyLedger, *, on_progress: Callable[[int], None]
    ) -> None:
        self._source = source
        self._rules = rules
        self._ledger = ledger
        self._on_progress = on_progress
        self.outcome = CopyOutcome()
        self.file_ids: set[str] = set()

    async def look_at_all(self, thread_ids: AsyncIterator[str]) -> None:
        """Look at threads, several at once. Raises as `ThreadCopier.copy_all` does."""
        await for_each(thread_ids, self._look_at)

    async def _look_at(self, old_id: str) -> None:
        begun = await self._ledger.find_copy(ObjectKind.THREAD, old_id)
        if begun is not None and begun.is_done:
            self.outcome.present += 1
        elif (thread := await self._source.find_thread(old_id)) is None:
            self.outcome.missing += 1
        else:
            await self._look_into(thread)
            self.outcome.copied += 1
        self._on_progress(self.outcome.thread_count)

    async def _look_into(self, thread: ThreadObject) -> None:
        losses = losses_of_thread(thread)
        async for page in self._source.read_messages(thread.id):
            for message in page:
                plan = plan_message(message, self._rules)
                body, lost = plan.to_body({file_id: file_id for file_id in plan.file_ids})
                losses += lost
                self.file_ids |= plan.file_ids
                self.outcome.messages += body is not None
        losses[Loss.RUNS] += await self._source.count_runs(thread.id)
        self.outcome.losses += losses
