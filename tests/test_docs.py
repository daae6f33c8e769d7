"""The documentation is true: commands, answers, calls, tables and links of every page."""

import json
import re
import shlex
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard, get_args

import pytest

from gateway.cli_parser import build_parser
from gateway.compose import DEMO_KEY
from gateway.config import COMMAND_SETTINGS, Settings, load_settings
from gateway.emulator.operations.registry import operations
from gateway.run_log.poll_diff import TOKENS_LOST
from gateway.run_log.replay_buffer import CURSOR_EXPIRED
from gateway.run_log.streamed_run import STREAM_INTERRUPTED
from gateway.server.live.graphql_transport_ws import SUBPROTOCOL, CloseCode
from gateway.settings.setting_types import ProfileSetting
from gateway.upstream.responses import conversation_operations
from gateway.upstream.rest_operations import RestOperation
from schema.contract.errors import RETRYABLE_CODES, ErrorCode
from schema.contract.paging import Window
from schema.root import build_schema
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import following
from tests.support.gateway import Gateway, running_command, running_gateway
from tests.support.pages import PAGES, blocks, table

ROOT = Path(__file__).parents[1]
README = PAGES["README.md"]
MAX_README_LINES = 250


def shown_answers() -> list[tuple[str, str]]:
    """Each operation that a page shows with its answer right below it."""
    return [
        (query.text, answer.text)
        for page in PAGES.values()
        for query, answer in pairwise(page.blocks)
        if (query.language, answer.language) == ("graphql", "json")
    ]


@pytest.fixture
async def demo_emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        yield emulator


@pytest.fixture
async def demo(demo_emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(demo_emulator.url, upstream_api_key=DEMO_KEY) as gateway:
        yield gateway


async def answer_to(demo: Gateway, query: str) -> Any:
    return (await demo.post({"query": query})).json


async def test_the_shown_answers_are_the_demos(demo: Gateway) -> None:
    shown = shown_answers()
    assert shown
    for query, answer in shown:
        assert await answer_to(demo, query) == json.loads(answer)


async def test_the_shown_curl_command_gets_the_shown_answer(demo: Gateway) -> None:
    (command,) = [block for block in blocks("sh") if block.startswith("curl -s ")]
    body = json.loads(shlex.split(command)[-1])
    (answer,) = [
        after.text for before, after in pairwise(README.blocks) if before.text == command and after.language == "json"
    ]
    assert await answer_to(demo, body["query"]) == json.loads(answer)


async def test_the_shown_calls_are_those_of_the_shown_query(demo: Gateway, demo_emulator: Emulator) -> None:
    ((query, _),) = shown_answers()
    (calls,) = blocks("rest")
    demo_emulator.counts.reset()
    await answer_to(demo, query)
    async with demo.session.get(f"{demo_emulator.root_url}/_emulator/requests") as reply:
        log = (await reply.json())["log"]
    made = [f"{entry['method']} {entry['path']}" for entry in log]
    first, second = (part.splitlines() for part in calls.strip().split("\n\n"))
    assert sorted(made[: len(first)]) == sorted(first)
    assert sorted(made[len(first) :]) == sorted(second)


async def test_the_shown_cost_is_that_of_the_shown_query(demo: Gateway) -> None:
    ((query, _),) = shown_answers()
    (shown,) = [json.loads(block) for block in blocks("json") if "upstreamCalls" in block]
    answer = (await demo.post({"query": query}, headers={"GraphQL-Cost": "1"})).json
    for report in (shown, answer):
        assert report["extensions"]["cost"].pop("upstreamMilliseconds") > 0
    assert answer["extensions"] == shown["extensions"]


async def test_the_shown_frames_are_those_of_the_shown_run_and_all_of_it_is_one_call(
    demo: Gateway, demo_emulator: Emulator
) -> None:
    (document,) = [text for text in blocks("graphql") if "subscription" in text]
    (shown,) = blocks("jsonl")
    frames = [json.loads(line)["data"]["runEvents"] for line in shown.splitlines()]
    demo_emulator.counts.reset()
    started = (await demo.post({"query": document, "operationName": "Chat"})).json
    run = started["data"]["createThreadAndRun"]["run"]["id"]
    async with following(demo, document, operation_name="ChatEvents", run=run) as stream:
        came = [await stream.event()]
        demo_emulator.clock.advance(60)
        came += [event async for event in stream.events()]
    assert came[: len(frames)] == frames
    async with following(demo, document, operation_name="ChatEvents", run=run) as late:
        assert [event async for event in late.events()] == came
    assert demo_emulator.counts.total == 1


async def test_the_shown_curl_command_of_an_event_stream_gets_the_shown_one_and_goes_on_behind_it(
    demo: Gateway,
) -> None:
    (command,) = [block for block in blocks("sh") if block.startswith("curl -sN ")]
    (shown,) = blocks("sse")
    ids = re.compile(r"^id: (.*)$", re.MULTILINE)
    first = await curl(demo, command, last="")
    assert stripped_lines(ids.sub("id: X", first)) == stripped_lines(ids.sub("id: X", shown))
    assert stripped_lines(await curl(demo, command, last=ids.findall(first)[-1])) == [":", "event: complete", "data:"]


async def curl(demo: Gateway, command: str, **variables: str) -> str:
    """Return the response that a `curl` command would print. A header without a value is left out, as curl does."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    words = shlex.split(command)
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H")
    sent = {name: value for name, value in headers.items() if value}
    async with demo.session.post(f"{demo.url}/graphql", data=words[-1], headers=sent) as response:
        return await response.text()


def stripped_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


async def test_the_shown_first_messages_of_a_socket_say_who_it_is_for(demo_emulator: Emulator) -> None:
    shown = [block for block in blocks("json") if "connection_init" in block]
    assert len(shown) == 2
    async with running_gateway(demo_emulator.url) as gateway:
        url = f"{gateway.url}/graphql"
        for message in shown:
            async with gateway.session.ws_connect(url, protocols=(SUBPROTOCOL,)) as socket:
                await socket.send_str(message.replace("...", DEMO_KEY))
                assert await socket.receive_json() == {"type": "connection_ack"}
        async with gateway.session.ws_connect(url, protocols=(SUBPROTOCOL,)) as socket:
            await socket.send_json({"type": "connection_init"})
            await socket.receive()
            assert socket.close_code == CloseCode.UNAUTHORIZED


def test_every_part_of_a_profile_is_in_the_table() -> None:
    assert [row[1].strip("`").lower() for row in table("profiles")][:-1] == list(get_args(ProfileSetting))


def test_every_close_code_is_in_the_table() -> None:
    assert [int(row[0]) for row in table("closes")] == sorted(CloseCode)


def test_every_fault_of_following_is_in_the_table() -> None:
    named = {code for row in table("faults") for code in re.findall(r"`([A-Z_]+)`", row[0])}
    assert named == {CURSOR_EXPIRED.code, STREAM_INTERRUPTED, TOKENS_LOST}


def test_the_shown_start_of_the_demo_is_what_it_prints() -> None:
    (shown,) = blocks("text")
    with running_command("demo", "--port", "0", "--emulator-port", "0") as (_, printed):
        pass
    ports = re.compile(r"127\.0\.0\.1:\d+")
    assert ports.sub("HOST", printed).strip() == ports.sub("HOST", shown).strip()


def test_the_set_up_lines_are_one_line_each_and_the_gate_takes_the_same_steps() -> None:
    shown = [block.text.strip() for block in README.blocks if block.text.startswith("python3 -m venv")]
    run, test = shown
    assert all("\n" not in line for line in shown)
    assert run.endswith("threads-gateway demo")
    assert test.endswith("-m pytest")
    gate = (ROOT / ".ci" / "run").read_text()
    for step in ("python3 -m venv", "-c constraints.txt -e '.[test]'", "-m pytest"):
        assert step in test
        assert step in gate


def test_every_error_code_is_in_the_table_with_its_retryability() -> None:
    shown = {row[0].strip("`"): row[2] for row in table("codes")}
    assert shown == {code.value: "yes" if code in RETRYABLE_CODES else "no" for code in ErrorCode}


def test_every_example_is_in_the_table_once_and_in_order_with_its_first_comment() -> None:
    files = sorted((ROOT / "queries").glob("*.graphql"))
    assert table("queries") == [
        [f"[`{path.name}`]({path.name})", path.read_text().splitlines()[0].removeprefix("# ")] for path in files
    ]


# The operation ids of the API's specification, by version; version 1 alone has files of assistants and of messages.
BOTH_VERSIONS = {
    "createThread", "getThread", "modifyThread", "deleteThread", "listMessages", "createMessage", "getMessage",
    "modifyMessage", "createRun", "listRuns", "getRun", "modifyRun", "cancelRun", "submitToolOuputsToRun",
    "createThreadAndRun", "listRunSteps", "getRunStep", "createAssistant", "listAssistants", "getAssistant",
    "modifyAssistant", "deleteAssistant", "retrieveFile", "deleteFile",
}  # fmt: skip
VERSION_1 = {
    "listMessageFiles", "getMessageFile", "listAssistantFiles", "createAssistantFile", "getAssistantFile",
    "deleteAssistantFile",
}  # fmt: skip
VERSION_2 = {"deleteMessage"}
SUCCESSOR = ("/conversations", "/responses")


def test_every_operation_of_both_versions_has_a_row() -> None:
    shown = {row[0].strip("`"): (row[3], row[4]) for row in table("operations")}
    assert shown == {
        **dict.fromkeys(BOTH_VERSIONS, ("yes", "yes")),
        **dict.fromkeys(VERSION_1, ("yes", "no")),
        **dict.fromkeys(VERSION_2, ("no", "yes")),
    }


def test_the_emulator_has_every_operation_at_its_path() -> None:
    shown = {row[0].strip("`"): row[1].strip("`") for row in table("operations")}
    real = {known.name: f"{known.method} {known.path}" for known in operations()}
    # The gateway lists no files, and a list of threads is an operation of Foundry only.
    of_threads = {known.name for known in operations() if "azure" in known.servers or known.needs_version}
    assert of_threads - shown.keys() == {"listThreads", "listFiles", "createFile", "downloadFile"}
    assert {name: real[name] for name in shown} == shown


def test_every_operation_of_conversations_and_responses_has_a_row_with_its_path() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table("operations-of-responses")}
    real = {known.name: f"{known.method} {known.path}" for known in operations() if known.path.startswith(SUCCESSOR)}
    # The gateway counts no tokens, and needs no list of what a response was created with.
    assert real.keys() - rows.keys() == {"Getinputtokencounts", "listInputItems"}
    assert {name: real[name] for name in rows} == rows
    ours = {one.request(_AnyKey()).operation for one in vars(conversation_operations).values() if _is_operation(one)}
    assert ours == rows.keys()


class _AnyKey:
    """A key with every field that any key of a conversation or response may have."""

    thread_id = message_id = response_id = conversation_id = "x"
    item_type = None
    window = Window(1, "asc")


def _is_operation(value: object) -> TypeGuard[RestOperation[Any, Any]]:
    return isinstance(value, RestOperation)


def test_every_graphql_field_and_every_test_of_the_tables_exists() -> None:
    schema: Any = build_schema()._schema
    rows = [(row[2], row[-1]) for name in ("operations", "operations-of-responses") for row in table(name)]
    for fields, test in rows:
        for field in re.findall(r"`([\w.]+)`", fields):
            owner, _, name = field.rpartition(".")
            owners = [owner] if owner else ["Query", "Mutation", "UpdateAssistantInput"]
            assert any(name in schema.type_map[known].fields for known in owners), field
        named = re.fullmatch(r"\[`(\w+)`\]\((\S+)\)", test)
        assert named, f"expected a link to a test, got {test}"
        file = ROOT / "gateway" / named[2]  # the table stands in gateway/README.md
        assert re.search(rf"^(async )?def {named[1]}\(", file.read_text(), re.MULTILINE), test


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_of_this_repository_and_to_a_heading_of_it(name: str) -> None:
    page = PAGES[name]
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", page.prose):
        path = (page.directory / target).resolve() if target else ROOT / name
        assert path.exists(), f"{name} links to {target}"
        if anchor:
            known = PAGES[path.relative_to(ROOT).as_posix()].anchors
            assert anchor in known, f"{name} links to {target}#{anchor}"


@pytest.mark.parametrize("name", PAGES)
def test_every_named_path_exists(name: str) -> None:
    named = re.findall(r"`((?:schema|gateway|tests|queries|docker)/[\w./-]*)`", PAGES[name].prose)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= MAX_README_LINES


def joined_lines(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def test_every_command_line_of_the_pages_is_one_that_the_program_takes() -> None:
    lines = [line for block in blocks("sh") for line in joined_lines(block) if "threads-gateway " in line]
    assert len(lines) >= 4
    for line in lines:
        assignments = [word for word in shlex.split(line) if re.match(r"[A-Z_]+=", word)]
        names = {word.partition("=")[0].lower() for word in assignments}
        # OpenTelemetry has variables of its own.
        assert {name for name in names if not name.startswith("otel_")} <= set(Settings.model_fields), line
        flags = vars(build_parser().parse_args(shlex.split(line.rpartition("threads-gateway ")[2])))
        assert " ".join(filter(None, [flags.pop("command"), flags.pop("ledger_command", None)])) in COMMAND_SETTINGS
        load_settings({name: value for name, value in flags.items() if value is not None})  # raises for a bad value
