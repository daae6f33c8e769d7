"""Watches what is streamed by nobody: one process of all leads its log and polls, the others stand by to take over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriter, LogWriterFactory
from gateway.run_log.poll_interval import next_poll_delay
from gateway.run_log.poller import FATAL_CODES, PollDiff, Poller
from gateway.run_log.rate_limiter import RateLimiter
from gateway.run_log.run_log_options import RunLogOptions, Sleep, wait_for_any
from gateway.run_log.store.event_log import LeaseLostError, LogUnavailableError
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import ThreadsApi

_logger = logging.getLogger(__name__)


class PollRecorder:
    """Keeps the log of one feed going while this process has readers of it."""

    def __init__(
        self,
        feed: LogMirror,
        poller: Poller,
        *,
        open_api: Callable[[], ThreadsApi],
        pens: LogWriterFactory,
        wants_all: Callable[[], bool],
        turns: RateLimiter,
        options: RunLogOptions,
        sleep: Sleep,
    ) -> None:
        self._feed = feed
        self._poller = poller
        self._open_api = open_api
        self._pens = pens
        self._wants_all = wants_all
        self._turns = turns
        self._options = options
        self._sleep = sleep
        self._attention = asyncio.Event()
        self.is_current = asyncio.Event()
        """Whether what the log holds is the present: a look was tried here, or another leads, or nobody watches."""

    def look_now(self) -> None:
        """Look sooner than planned: something has happened, or somebody wants more."""
        self._attention.set()

    async def run(self) -> None:
        """Watch until the log has ended or cannot be kept going with this credential; then its readers are told."""
        feed = self._feed
        try:
            while not feed.is_over():
                feed.hint.clear()
                await feed.refresh()
                writer = None if feed.is_over() else await self._pens.begin(feed)
                if writer is None:
                    self.is_current.set()
                    await self._stand_by()
                    continue
                try:
                    await self._lead(writer)
                except LeaseLostError:
                    pass
                finally:
                    await writer.end()
        except GatewayError as error:
            feed.fail(error)
        except Exception:
            _logger.exception("Watching %s failed.", feed.name.key)
            feed.fail(GatewayError(ErrorCode.INTERNAL, "What happens could not be watched."))
        finally:
            self.is_current.set()

    async def _stand_by(self) -> None:
        """Wait until there is a reason to try to lead, and let the leader know what is wanted here."""
        feed = self._feed
        if feed.is_over():
            return
        if self._wants_all():
            with contextlib.suppress(LogUnavailableError):
                await feed.log.want(feed.name)
        if await wait_for_any(feed.hint, self._options.follow_seconds, self._sleep):
            # Most news is the leader's own; trying to lead after each would be too often.
            await self._sleep(self._options.settle_seconds)

    async def _lead(self, writer: LogWriter) -> None:
        feed = self._feed
        await feed.refresh()
        unchanged = failed = 0
        while writer.leads and not feed.is_over():
            self._attention.clear()
            wants_all = self._wants_all() or await self._is_wanted()
            await self._turns.take()
            try:
                look = await self._poller.look(self._open_api(), wants_all=wants_all)
            except GatewayError as error:
                failed += 1
                await self._sleep(self._delay_after(error, failed))
                continue
            failed = 0
            await feed.refresh()
            seen = look.compare()
            unchanged = 0 if seen.changes else unchanged + 1
            await writer.append(seen.provenance, seen.changes, ends=seen.ends)
            self.is_current.set()
            if not feed.is_over() and await self._wait_after(seen, unchanged):
                unchanged = 0

    async def _wait_after(self, seen: PollDiff, unchanged: int) -> bool:
        """Wait until the next look; tells whether something happened meanwhile."""
        delay = next_poll_delay(
            self._options.pace,
            unchanged_polls=unchanged,
            is_waiting=seen.is_waiting,
            retry_after_ms=seen.retry_after_ms,
        )
        if seen.retry_after_ms:
            await self._sleep(delay)
            return self._attention.is_set()
        return await wait_for_any(self._attention, delay, self._sleep)

    def _delay_after(self, error: GatewayError, failed: int) -> float:
        if error.code in FATAL_CODES:
            raise error
        self.is_current.set()
        if not self._feed.state.has_begun:
            self._feed.disappoint(error)
        return next_poll_delay(self._options.pace, failed_polls=failed, retry_after_ms=error.retry_after_ms)

    async def _is_wanted(self) -> bool:
        with contextlib.suppress(LogUnavailableError):
            return await self._feed.log.is_wanted(self._feed.name)
        return True
