"""Runs and their steps, read as chains of responses.

Which responses make up a run stands in the ledger. Each response costs one call, all of them at the same time; a run
that has ended costs none, since its last state is kept. What was read is written back: the messages of a run, its
status, and the lease on its thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from gateway.upstream.responses.bound_upstream import BoundUpstream, not_found
from gateway.upstream.responses.conversation_operations import (
    LIST_RESPONSES,
    ResponsePageKey,
)
from gateway.upstream.responses.kept_records import ChainRecord
from gateway.upstream.responses.loaded_chain import (
    LoadedChain,
    chains_from_responses,
    cut_window,
    ended_waiting,
    kept_run,
    may_be_unstored,
    unstored_response,
)
from gateway.upstream.responses.open_calls import answer_asked_in_vain
from gateway.upstream.responses.response_reads import ResponseReads
from gateway.upstream.responses.response_wire import ResponseObject
from gateway.upstream.responses.run_chains import conversation_id_of
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, RunStepKey
from schema.contract.kinds import RunPageKey, RunStepPageKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import OnResult, Results
from schema.contract.statuses import is_terminal
from schema.contract.wire import Page, RunObject, RunStepObject

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

MAX_RESPONSE_PAGES = 4
"""The most pages of a conversation's responses that are read where the server lists them: the newest 400."""


class ChainReads:
    """Reads runs and steps. `wait_seconds` is how long the lease of a run that waits for its client lasts."""

    def __init__(self, upstream: BoundUpstream, *, wait_seconds: float) -> None:
        self._upstream = upstream
        self._responses = ResponseReads(upstream.calls)
        self._wait_seconds = wait_seconds
        self._waiting: dict[RunKey, LoadedChain] = {}  # the latest alone

    async def get_runs(self, keys: Sequence[RunKey]) -> Results[RunObject]:
        """Get runs. Those that have ended are kept, and cost a call only where the thread was not shown before."""
        try:
            records = await self._find_records(keys)
        except GatewayError as error:
            return [error] * len(keys)
        ended = {key: run for key in keys if (record := records.get(key)) and (run := kept_run(record))}
        others = [key for key in dict.fromkeys(keys) if key not in ended]
        threads = list(dict.fromkeys(key.thread_id for key in ended))
        refusals, loaded = await asyncio.gather(
            asyncio.gather(*map(self._upstream.check_reachable, threads)), self._load(others, records)
        )
        refused = dict(zip(threads, refusals, strict=True))
        results: dict[RunKey, RunObject | GatewayError] = {
            key: refused[key.thread_id] or run for key, run in ended.items()
        }
        results |= {key: chain if isinstance(chain, GatewayError) else chain.run for key, chain in loaded.items()}
        return [results[key] for key in keys]

    async def list_runs(
        self, keys: Sequence[RunPageKey], on_result: OnResult[RunPageKey, Page[RunObject]] | None = None
    ) -> Results[Page[RunObject]]:
        """List the runs of threads: as the server lists them, else those that were started through the gateway."""
        list_page = self._list_listed if self._upstream.dialect.lists_runs else self._list_kept
        return await gather_pages(list_page, keys, on_result)

    async def get_steps(self, keys: Sequence[RunStepKey]) -> Results[RunStepObject]:
        """Get steps, each run once."""
        chains = await self.load([RunKey(key.thread_id, key.run_id) for key in keys])
        results: list[RunStepObject | GatewayError] = []
        for key in keys:
            chain = chains[RunKey(key.thread_id, key.run_id)]
            if isinstance(chain, GatewayError):
                results.append(chain)
                continue
            step = next((step for step in chain.steps if step.id == key.step_id), None)
            results.append(step or not_found("step", key.step_id))
        return results

    async def list_steps(
        self, keys: Sequence[RunStepPageKey], on_result: OnResult[RunStepPageKey, Page[RunStepObject]] | None = None
    ) -> Results[Page[RunStepObject]]:
        """List the steps of runs, each run once. No run waits for another."""
        pages_of_runs: dict[RunKey, list[RunStepPageKey]] = {}
        for key in dict.fromkeys(keys):
            pages_of_runs.setdefault(RunKey(key.thread_id, key.run_id), []).append(key)
        try:
            records = await self._find_records(list(pages_of_runs))
        except GatewayError as error:
            return [error] * len(keys)
        results: dict[RunStepPageKey, Page[RunStepObject] | GatewayError] = {}

        async def list_of_run(run: RunKey) -> None:
            chain = (await self._load([run], records))[run]
            for key in pages_of_runs[run]:
                page = chain if isinstance(chain, GatewayError) else cut_window(chain.steps, key.window)
                results[key] = not_found("step", key.window.after or "") if page is None else page
                if on_result is not None:
                    on_result(key, results[key])

        await asyncio.gather(*map(list_of_run, pages_of_runs))
        return [results[key] for key in keys]

    async def load(self, keys: Sequence[RunKey]) -> Mapping[RunKey, LoadedChain | GatewayError]:
        """Load the responses of runs, all at the same time, and write back what they say."""
        keys = list(dict.fromkeys(keys))
        try:
            records = await self._find_records(keys)
        except GatewayError as error:
            return dict.fromkeys(keys, error)
        return await self._load(keys, records)

    async def load_to_answer(self, key: RunKey) -> LoadedChain | GatewayError:
        """Load a run that is about to be answered. The one that this operation has just read to check it is used."""
        waiting = self._waiting.pop(key, None)
        return (await self.load([key]))[key] if waiting is None else waiting

    async def load_unsettled(self, thread_id: str) -> list[LoadedChain]:
        """Load those newest runs of a thread whose messages are not kept yet. One that cannot be read is left out."""
        if self._upstream.dialect.lists_runs:
            chains = await self._load_listed(thread_id)
            return [] if isinstance(chains, GatewayError) else chains
        page = await self._upstream.kept.chains.list_chains(thread_id, Window(UPSTREAM_PAGE_SIZE, "desc"))
        records = {
            RunKey(thread_id, record.run_id): record for record in (page.data if page else ()) if not record.ended_run
        }
        loaded = await self._load(list(records), records)
        return [chain for chain in loaded.values() if isinstance(chain, LoadedChain)]

    async def load_newest(self, thread_id: str) -> LoadedChain | None:
        """Load the newest run of a thread that was started through the gateway. None if it cannot be read.

        Raises:
            GatewayError: The ledger does not answer.
        """
        page = await self._upstream.kept.chains.list_chains(thread_id, Window(1, "desc"))
        if page is None or not page.data:
            return None
        key = RunKey(thread_id, page.data[0].run_id)
        chain = (await self.load([key]))[key]
        return None if isinstance(chain, GatewayError) else chain

    async def settle(self, chain: LoadedChain) -> None:
        """Write back what a run's responses say. A ledger that does not answer hears of it at the next read."""
        record, run, kept = chain.record, chain.run, self._upstream.kept
        if record is None or (record.status == run.status and (record.ended_run or not is_terminal(run.status))):
            return
        with contextlib.suppress(GatewayError):
            if is_terminal(run.status):
                if chain.may_have_open_calls:
                    await answer_asked_in_vain(self._upstream, chain)
                await self.record_end(chain)
                await kept.locks.release(chain.thread_id, run.id)
            elif run.status == "requires_action":
                await self._add_items(chain)
                # It may have been answered since the responses were read.
                now = (await kept.chains.find_chains([run.id])).get(run.id)
                if now is not None and now.response_ids == record.response_ids:
                    await kept.chains.record_status(run.id, run.status, time.time())
                    await kept.locks.acquire(chain.thread_id, run.id, self._wait_seconds)
            else:
                await kept.chains.record_status(run.id, run.status)

    async def record_end(self, chain: LoadedChain) -> None:
        """Record a run that has ended, and the messages that it wrote.

        Raises:
            GatewayError: The ledger does not answer.
        """
        await self._add_items(chain)
        run = chain.run
        await self._upstream.kept.chains.record_status(run.id, run.status, ended_run=msgspec.json.encode(run))

    async def _add_items(self, chain: LoadedChain) -> None:
        chains, items = self._upstream.kept.chains, chain.item_records()
        known = await chains.find_items(chain.thread_id, list(items))
        if new := {
            item_id: item for item_id, item in items.items() if item_id not in known or not known[item_id].run_id
        }:
            await chains.add_items(chain.thread_id, new)

    async def _find_records(self, keys: Sequence[RunKey]) -> dict[RunKey, ChainRecord]:
        """Find the records of runs, each under the key of its thread."""
        found = await self._upstream.kept.chains.find_chains(list(dict.fromkeys(key.run_id for key in keys)))
        return {key: record for key in keys if (record := found.get(key.run_id)) and record.thread_id == key.thread_id}

    async def _load(
        self, keys: Sequence[RunKey], records: Mapping[RunKey, ChainRecord]
    ) -> dict[RunKey, LoadedChain | GatewayError]:
        listed = [key for key in keys if key not in records] if self._upstream.dialect.lists_runs else []
        ids = {key: records[key].response_ids if key in records else (key.run_id,) for key in keys if key not in listed}
        reading = self._responses.read([each for chain_ids in ids.values() for each in chain_ids])
        by_id, in_threads = await asyncio.gather(reading, self._find_listed(listed))
        loaded: dict[RunKey, LoadedChain | GatewayError] = {**in_threads}
        for key, chain_ids in ids.items():
            found = [by_id[each] for each in chain_ids]
            if (record := records.get(key)) is not None:
                found = await self._find_missing(record, found)
            loaded[key] = _build_chain(key, found, record)
        return {key: await self._settle_found(chain) for key, chain in loaded.items()}

    async def _find_missing(
        self, record: ChainRecord, responses: list[ResponseObject | GatewayError]
    ) -> list[ResponseObject | GatewayError]:
        """Return the responses of a run, with those that its server does not store as far as its record tells of them.

        Some servers store the last one only once it has ended in the foreground; all forget them after a while.
        """
        missing = [isinstance(one, GatewayError) and one.code is ErrorCode.NOT_FOUND for one in responses]
        is_unstored = missing == [False] * (len(responses) - 1) + [True] and may_be_unstored(record)
        if not any(missing) or not (is_unstored or ended_waiting(record.status)):
            return responses
        # To others than those who see the thread, the run does not exist.
        if await self._upstream.check_reachable(record.thread_id, must_exist=True) is not None:
            return responses
        named = zip(record.response_ids, responses, missing, strict=True)
        return [unstored_response(record, one_id) if lacks else one for one_id, one, lacks in named]

    async def _settle_found(self, chain: LoadedChain | GatewayError) -> LoadedChain | GatewayError:
        if isinstance(chain, GatewayError):
            return chain
        self._upstream.prove(chain.thread_id)
        chain = await self._find_lost(chain)
        await self.settle(chain)
        if chain.run.status == "requires_action":
            self._waiting = {RunKey(chain.thread_id, chain.run_id): chain}
        return chain

    async def _find_lost(self, chain: LoadedChain) -> LoadedChain:
        """Return a run as failed if nobody reads it any more and it cannot go on by itself."""
        record, status = chain.record, chain.run.status
        if record is None:
            return chain
        with contextlib.suppress(GatewayError):
            status = await self._upstream.lost_chains.settle(record, status)
        return chain if status == chain.run.status else replace(chain, record=replace(record, status=status))

    async def _find_listed(self, keys: Sequence[RunKey]) -> dict[RunKey, LoadedChain | GatewayError]:
        """Find runs that were started elsewhere among all of their threads, where the server lists them."""
        threads = list(dict.fromkeys(key.thread_id for key in keys))
        lists = dict(zip(threads, await asyncio.gather(*map(self._load_listed, threads)), strict=True))
        found: dict[RunKey, LoadedChain | GatewayError] = {}
        for key in keys:
            chains = lists[key.thread_id]
            if isinstance(chains, GatewayError):
                found[key] = chains
                continue
            by_id = {chain.run_id: chain for chain in chains}
            found[key] = by_id.get(key.run_id) or not_found("run", key.run_id)
        return found

    async def _load_listed(self, thread_id: str) -> list[LoadedChain] | GatewayError:
        """Load all runs of a thread as the server lists their responses, oldest first."""
        responses: list[ResponseObject] = []
        for _ in range(MAX_RESPONSE_PAGES):
            window = Window(UPSTREAM_PAGE_SIZE, "desc", responses[-1].id if responses else None)
            (page,) = await self._upstream.calls.read_all(LIST_RESPONSES, [ResponsePageKey(thread_id, window)])
            if isinstance(page, GatewayError):
                return page
            # A server that ignores the filter would show what is in other conversations.
            responses += [one for one in page.data if conversation_id_of(one) == thread_id]
            if not page.has_more or not page.data:
                break
        try:
            records = await self._upstream.kept.chains.find_chains([response.id for response in responses])
        except GatewayError as error:
            return error
        self._upstream.prove(thread_id)
        return chains_from_responses(
            thread_id, responses[::-1], [one for one in records.values() if one.thread_id == thread_id]
        )

    async def _list_listed(self, key: RunPageKey) -> Page[RunObject] | GatewayError:
        chains = await self._load_listed(key.thread_id)
        if isinstance(chains, GatewayError):
            return chains
        for chain in chains:
            await self.settle(chain)
        return cut_window([chain.run for chain in chains], key.window) or not_found("run", key.window.after or "")

    async def _list_kept(self, key: RunPageKey) -> Page[RunObject] | GatewayError:
        try:
            page = await self._upstream.kept.chains.list_chains(key.thread_id, key.window)
        except GatewayError as error:
            return error
        records = {RunKey(key.thread_id, record.run_id): record for record in (page.data if page else ())}
        ended = {run_key: run for run_key, record in records.items() if (run := kept_run(record))}
        active = [run_key for run_key in records if run_key not in ended]
        loaded = await self._load(active, records)
        if all(isinstance(chain, GatewayError) for chain in loaded.values()):
            refusal = await self._upstream.check_reachable(key.thread_id, must_exist=not ended)
            if refusal is not None:
                return refusal
        if page is None:
            return not_found("run", key.window.after or "")
        runs: list[RunObject] = []
        for run_key in records:
            chain = loaded.get(run_key)
            if isinstance(chain, LoadedChain):
                runs.append(chain.run)
            elif chain is None:
                runs.append(ended[run_key])
            elif chain.code is not ErrorCode.NOT_FOUND:
                return chain
        # Servers forget responses after a while, so a run that nobody saw end may be gone.
        read_until = page.data[-1].run_id if len(runs) < len(records) else None
        return Page(runs, page.has_more, read_until)


def _build_chain(
    key: RunKey, responses: Sequence[ResponseObject | GatewayError], record: ChainRecord | None
) -> LoadedChain | GatewayError:
    """Return the run of a key, if all its responses were read. One without a record has to name its thread."""
    found: list[ResponseObject] = []
    for response in responses:
        if isinstance(response, GatewayError):
            return response
        found.append(response)
    thread_id = conversation_id_of(found[0])
    if thread_id != key.thread_id and (record is None or thread_id is not None):
        return not_found("run", key.run_id)
    return LoadedChain(key.thread_id, found, record)


async def gather_pages(
    list_page: Callable[[KeyT], Awaitable[ValueT | GatewayError]],
    keys: Sequence[KeyT],
    on_result: OnResult[KeyT, ValueT] | None = None,
) -> Results[ValueT]:
    """List pages at the same time, each once, and report each as it arrives."""

    async def list_one(key: KeyT) -> ValueT | GatewayError:
        page = await list_page(key)
        if on_result is not None:
            on_result(key, page)
        return page

    distinct = list(dict.fromkeys(keys))
    pages = dict(zip(distinct, await asyncio.gather(*map(list_one, distinct)), strict=True))
    return [pages[key] for key in keys]
