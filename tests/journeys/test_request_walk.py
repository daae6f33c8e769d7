"""Tests that a request walks from the aiohttp handler to the executor as ARCHITECTURE.md draws it."""

import inspect
import re
import sys
from types import FrameType

from gateway.compose import DEMO_KEY
from tests.support.emulator import running_emulator
from tests.support.gateway import ROOT, running_gateway

THREAD = '{ thread(id: "thread_demoQuarterlySales000001") { createdAt messages(last: 1) { nodes { role } } } }'
WALKED = re.compile(r"gateway/server/(?!sockets/)|schema/operations/")
EXECUTOR, ROOT_FIELDS = "schema/engine/executor.py", "schema/graph/queries.py"


class WalkRecorder:
    """Records the files of a request in order: those whose coroutines it enters, and the executor, to the first field.

    Plain functions of other files answer a question and return at once.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self._is_over = False
        self._entered: set[FrameType] = set()  # a coroutine that goes on is called again with the same frame

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
        if event != "call" or self._is_over or frame in self._entered:
            return
        self._is_over = file == ROOT_FIELDS
        is_coroutine = bool(frame.f_code.co_flags & inspect.CO_COROUTINE) and WALKED.match(file)
        if is_coroutine or file == EXECUTOR:
            self._entered.add(frame)
            if self.files[-1:] != [file]:
                self.files.append(file)


async def test_a_request_goes_through_six_files_and_comes_back_to_none() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    table = page.partition("## The walk of a request")[2].partition("| step |")[0]
    drawn = re.findall(r"^\| \d \| \[`([^`]+)`\]", table, re.MULTILINE)
    recorder = WalkRecorder()
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_cache=True) as gateway,
    ):
        sys.setprofile(recorder)
        try:
            result = await gateway.post({"query": THREAD})
        finally:
            sys.setprofile(None)
    assert result.json["data"]["thread"]["messages"]["nodes"]
    assert recorder.files == drawn
    assert len(drawn) == len(set(drawn)) == 6
