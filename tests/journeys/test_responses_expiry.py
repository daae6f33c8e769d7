"""Runs that wait for their client in vain, over an upstream that knows no expiry."""

from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.record_gateways import eventually
from tests.support.responses_gateway import (
    FUNCTION,
    new_assistant,
    new_thread,
    read_run,
    running_responses_gateway,
    start_response_run,
)


@pytest.mark.parametrize("has_own_key", [True, False])
async def test_a_run_that_waits_too_long_expires_and_its_thread_takes_another(
    emulator: Emulator, has_own_key: bool
) -> None:
    options: dict[str, Any] = {"upstream_api_key": "test-key"} if has_own_key else {}
    async with running_responses_gateway(emulator, gateway_run_expiry_seconds=0.05, **options) as gateway:
        assistant_id = await new_assistant(gateway, tools=[FUNCTION])
        thread_id = await new_thread(gateway)
        run = await start_response_run(gateway, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)

        async def status() -> str:
            return str((await read_run(gateway, run["id"], "status"))["status"])

        await eventually(status, "EXPIRED")
        # Its call was answered, so the conversation takes a further response.
        second = await start_response_run(gateway, thread_id, assistant_id)
        assert second["id"] != run["id"]
