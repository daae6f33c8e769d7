"""Files in the events of runs: what a run made can be seen by the address in the event that tells of it."""

import asyncio

from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.faces import both_faces
from tests.support.file_client import target
from tests.support.gateway import Gateway
from tests.support.made_files import MADE_FILES, shown_files, start_drawing
from tests.support.subscription_clients import open_socket, open_stream

pytestmark = both_faces

PNG_START = b"\x89PNG\r\n\x1a\n"


async def test_what_a_run_made_is_seen_by_the_address_in_its_event(emulator: Emulator, gateway: Gateway) -> None:
    run_id = await start_drawing(emulator, gateway)
    async with open_socket(gateway) as socket:
        reader = await socket.subscribe(MADE_FILES, run=run_id)
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    (finished,) = (event for event in events if event["type"] == "MessageFinished")
    of_message = {file["filename"]: file for file in shown_files(finished)}
    of_steps = shown_files([event for event in events if event["type"] == "StepChanged"])
    assert {file["id"] for file in of_steps} == {of_message["chart.png"]["id"]}
    reply = await gateway.send("GET", target(of_message["chart.png"]["contentUrl"]))
    assert (reply.status, reply.body[:8]) == (200, PNG_START)
    (table,) = (file for name, file in of_message.items() if name.endswith(".csv"))
    assert b"Bayern" in (await gateway.send("GET", target(table["contentUrl"]))).body


async def test_each_reader_has_addresses_by_the_name_that_it_called(emulator: Emulator, gateway: Gateway) -> None:
    run_id = await start_drawing(emulator, gateway)
    bases = [gateway.url, "http://one.example.com", "http://two.example.com:8443"]
    async with (
        open_stream(gateway, MADE_FILES, run=run_id) as own,
        open_stream(gateway, MADE_FILES, host="one.example.com", run=run_id) as one,
        open_stream(gateway, MADE_FILES, host="two.example.com:8443", run=run_id) as two,
    ):
        emulator.clock.advance(LONG_SECONDS)
        received = await asyncio.gather(*(reader.wait_for_completion() for reader in (own, one, two)))
    for base, events in zip(bases, received, strict=True):
        addresses = [file["contentUrl"] for file in shown_files(events)]
        assert addresses
        assert {address.partition("/files/")[0] for address in addresses} == {base}
