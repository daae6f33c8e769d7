"""Records a run or thread that no process streams. One process holds the lease and polls; the others stand by.

A run whose stream can be opened again is not polled, but followed by its stream as far as that goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriter, LogWriterFactory
from gateway.run_log.poll_timing import RateLimiter, next_poll_delay_seconds
from gateway.run_log.poller import FATAL_CODES, PollDiff, Poller
from gateway.run_log.replay_recorder import ReplayRecorder
from gateway.run_log.run_log_options import RunLogOptions, Sleep, wait_for_event
from gateway.run_log.store.event_log import LeaseLostError, LogUnavailableError
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import ThreadsApi

_logger = logging.getLogger(__name__)


class PollRecorder:
    """Records one log by polling, while this process has readers of it."""

    def __init__(
        self,
        mirror: LogMirror,
        poller: Poller,
        *,
        open_api: Callable[[], ThreadsApi],
        writer_factory: LogWriterFactory,
        needs_details: Callable[[], bool],
        poll_limiter: RateLimiter,
        options: RunLogOptions,
        sleep: Sleep,
    ) -> None:
        self._mirror = mirror
        self._poller = poller
        self._open_api = open_api
        self._writer_factory = writer_factory
        self._needs_details = needs_details
        self._poll_limiter = poll_limiter
        self._options = options
        self._sleep = sleep
        self._poll_requested = asyncio.Event()
        self._replay = ReplayRecorder(mirror, open_api)
        self.is_current = asyncio.Event()
        """Set once the log is current: a poll was tried here, another process polls, or polling has ended."""

    @property
    def is_streaming(self) -> bool:
        """Whether the run is followed by its stream now, and not polled."""
        return self._replay.is_streaming

    def poll_soon(self) -> None:
        """Poll sooner than planned, after a write or for a reader that needs details."""
        self._poll_requested.set()

    async def run(self) -> None:
        """Record until the log has ended, or until an error that a retry cannot solve ends its readers."""
        mirror = self._mirror
        try:
            while not mirror.is_over():
                mirror.log_changed.clear()
                await mirror.refresh()
                writer = None if mirror.is_over() else await self._writer_factory.open_writer(mirror)
                if writer is None:
                    self.is_current.set()
                    await self._stand_by()
                    continue
                try:
                    await self._poll_with_lease(writer)
                except LeaseLostError:
                    pass
                finally:
                    await writer.aclose()
        except GatewayError as error:
            mirror.end_with_error(error)
        except Exception:
            _logger.exception("Watching %s failed.", mirror.name.key)
            mirror.end_with_error(GatewayError(ErrorCode.INTERNAL, "What happens could not be watched."))
        finally:
            self.is_current.set()

    async def _stand_by(self) -> None:
        """Wait for a reason to try to acquire the lease. Tell its holder if a reader here needs details."""
        mirror = self._mirror
        if mirror.is_over():
            return
        if self._needs_details():
            with contextlib.suppress(LogUnavailableError):
                await mirror.log.request_details(mirror.name)
        if await wait_for_event(mirror.log_changed, self._options.follow_seconds, self._sleep):
            # Most notifications come from the lease holder's own appends: do not try after each of them.
            await self._sleep(self._options.settle_seconds)

    async def _poll_with_lease(self, writer: LogWriter) -> None:
        mirror, replay = self._mirror, self._replay
        await mirror.refresh()
        unchanged = failed = 0
        replay.expect_stream()
        while writer.holds_lease and not mirror.is_over():
            self._poll_requested.clear()
            with_details = self._needs_details() or await self._are_details_requested()
            await self._poll_limiter.acquire()
            try:
                if replay.is_due:
                    await replay.record(writer, self.is_current)
                    continue
                result = await self._poller.poll(self._open_api(), with_details=with_details)
            except GatewayError as error:
                failed += 1
                await self._sleep(self._retry_delay_seconds(error, failed))
                continue
            failed = 0
            await mirror.refresh()
            diff = result.to_diff()
            if replay.is_waiting and not diff.is_waiting and replay.goes_on():
                continue  # its stream tells more than this poll
            unchanged = 0 if diff.changes else unchanged + 1
            await writer.append(diff.provenance, diff.changes, ends=diff.ends)
            self.is_current.set()
            if not mirror.is_over() and await self._wait_for_next_poll(diff, unchanged):
                unchanged = 0

    async def _wait_for_next_poll(self, diff: PollDiff, unchanged: int) -> bool:
        """Wait until the next poll is due. Returns whether `poll_soon` was called meanwhile."""
        delay = next_poll_delay_seconds(
            self._options.poll_intervals,
            unchanged_polls=unchanged,
            is_waiting=diff.is_waiting,
            retry_after_ms=diff.retry_after_ms,
        )
        if diff.retry_after_ms:
            await self._sleep(delay)
            return self._poll_requested.is_set()
        return await wait_for_event(self._poll_requested, delay, self._sleep)

    def _retry_delay_seconds(self, error: GatewayError, failed: int) -> float:
        if error.code in FATAL_CODES:
            raise error
        self.is_current.set()
        if not self._mirror.state.has_begun:
            self._mirror.fail_waiters(error)
        return next_poll_delay_seconds(
            self._options.poll_intervals, failed_polls=failed, retry_after_ms=error.retry_after_ms
        )

    async def _are_details_requested(self) -> bool:
        with contextlib.suppress(LogUnavailableError):
            return await self._mirror.log.are_details_requested(self._mirror.name)
        return True
