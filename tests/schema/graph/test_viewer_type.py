"""`viewer`: who calls, the lists of threads and of waiting runs, usage, limits, and the errors of all of them."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, RunKey, ThreadKey, to_global_id
from schema.contract.paging import PagingLimits
from schema.contract.thread_records import RecordFilter, RecordOrder, TokenUsage
from schema.contract.viewer import RateLimitState, ViewerIdentity, ViewerRole
from tests.schema.builders import called_functions, conversation, execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.full_runs import examples
from tests.support.wire_samples import run, thread


def inbox(count: int = 5) -> FakeViewerApi:
    """Make threads 1 to `count`; the last one is archived. The later ones were created later, but used earlier."""
    viewer = FakeViewerApi()
    for number in range(1, count + 1):
        activity = 100_000 - number * 1000
        viewer.add(f"thread_{number}", number * 1000, activity, title=f"T{number}", is_archived=number == count)
    return viewer


def upstream_threads(*numbers: int) -> FakeThreadsApi:
    return FakeThreadsApi(
        threads={ThreadKey(f"thread_{one}"): thread(f"thread_{one}", metadata={"n": str(one)}) for one in numbers}
    )


async def listed(viewer: FakeViewerApi, arguments: str, selection: str = "nodes { upstreamId }") -> Any:
    data = await query_data(FakeThreadsApi(), f"{{ viewer {{ threads{arguments} {{ {selection} }} }} }}", viewer=viewer)
    return data["viewer"]["threads"]


async def listed_ids(viewer: FakeViewerApi, arguments: str) -> list[str]:
    return [node["upstreamId"] for node in (await listed(viewer, arguments))["nodes"]]


async def refused_argument(viewer: FakeViewerApi, field: str) -> GatewayError:
    """Return code and message of the only error, of a field of the viewer that is null for it."""
    result = await execute(FakeThreadsApi(), f"{{ viewer {{ id field: {field} }} }}", viewer=viewer)
    assert result.data is not None
    assert result.data["viewer"]["field"] is None
    ((path, code),) = paths_and_codes(result)
    assert path == ["viewer", "field"]
    assert result.errors
    return GatewayError(ErrorCode(str(code)), result.errors[0].message)


async def test_where_nobody_is_known_there_is_no_viewer() -> None:
    assert await query_data(FakeThreadsApi(), "{ viewer { id } }") == {"viewer": None}


async def test_the_viewer_says_who_calls() -> None:
    identity = ViewerIdentity("abc", None, frozenset({ViewerRole.ADMIN}))
    for viewer, subject, roles in ((FakeViewerApi(), "alice", []), (FakeViewerApi(identity=identity), None, ["ADMIN"])):
        data = await query_data(
            FakeThreadsApi(), "{ viewer { id subject roles rateLimit { resetsAt } } }", viewer=viewer
        )
        assert data["viewer"].pop("id")
        assert data["viewer"] == {"subject": subject, "roles": roles, "rateLimit": None}


async def test_the_threads_come_newest_first_without_the_archived_ones() -> None:
    assert await listed_ids(inbox(), "") == ["thread_1", "thread_2", "thread_3", "thread_4"]
    assert await listed_ids(inbox(), "(orderBy: CREATED)") == ["thread_4", "thread_3", "thread_2", "thread_1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("(filter: { isArchived: true })", RecordFilter(is_archived=True)),
        ("(filter: { isArchived: null })", RecordFilter()),
        ("(filter: {})", RecordFilter()),
        ("(filter: null)", RecordFilter()),
        ("", RecordFilter(is_archived=False)),
        ('(filter: { text: " green   tea " })', RecordFilter(text="green tea")),
        ('(filter: { text: "  " })', RecordFilter()),
        ('(filter: { assistantId: "asst_1" })', RecordFilter(assistant_id="asst_1")),
        (f'(filter: {{ assistantId: "{to_global_id(AssistantKey("asst_1"))}" }})', RecordFilter(assistant_id="asst_1")),
        ("(filter: { assistantId: null, text: null, activeSince: null })", RecordFilter()),
        ('(filter: { activeSince: "1970-01-01T00:01:36.500Z" })', RecordFilter(active_since_ms=96_500)),
    ],
)
async def test_a_filter_becomes_the_conditions_of_the_port(arguments: str, expected: RecordFilter) -> None:
    viewer = inbox()
    await listed(viewer, arguments)
    ((conditions, order, _),) = viewer.called("list_records")
    assert (conditions, order) == (expected, RecordOrder.LAST_ACTIVITY)


async def test_each_condition_of_a_filter_chooses() -> None:
    viewer = inbox()
    viewer.texts["thread_2"] = ["Green tea"]
    viewer.assistants["thread_3"] = {"asst_1"}
    assert await listed_ids(viewer, '(filter: { text: "TEA" })') == ["thread_2"]
    assert await listed_ids(viewer, '(filter: { assistantId: "asst_1" })') == ["thread_3"]
    assert await listed_ids(viewer, '(filter: { activeSince: "1970-01-01T00:01:38Z" })') == ["thread_1", "thread_2"]
    assert await listed_ids(viewer, "(filter: { isArchived: true })") == ["thread_5"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('threads(filter: { assistantId: "bad id" }) { nodes { id } }', "Argument 'filter.assistantId': expected"),
        (
            f'threads(filter: {{ text: "{"x" * 257}" }}) {{ nodes {{ id }} }}',
            "expected at most 256 characters, got 257",
        ),
        ("threads(first: 0) { nodes { id } }", "Argument 'first': expected an integer from 1 to 1000, got 0"),
        ('threads(after: "x") { nodes { id } }', "Argument 'after': expected a cursor made by this gateway"),
        ('waitingRuns(last: 1, after: "x") { nodes { id } }', "Argument 'after': expected 'before' as the companion"),
    ],
)
async def test_a_refused_argument_is_named_and_nothing_is_read(field: str, message: str) -> None:
    viewer = inbox()
    error = await refused_argument(viewer, field)
    assert error.code is ErrorCode.BAD_USER_INPUT
    assert message in error.message
    assert viewer.calls == []


async def test_a_page_says_how_the_list_goes_on() -> None:
    selection = (
        "nodes { title } edges { cursor node { title } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    )
    first = await listed(inbox(), "(first: 2)", selection)
    info = first["pageInfo"]
    assert [node["title"] for node in first["nodes"]] == ["T1", "T2"]
    assert [edge["node"]["title"] for edge in first["edges"]] == ["T1", "T2"]
    assert [info["startCursor"], info["endCursor"]] == [edge["cursor"] for edge in first["edges"]]
    assert (info["hasNextPage"], info["hasPreviousPage"]) == (True, False)
    second = await listed(inbox(), f'(first: 2, after: "{info["endCursor"]}")', selection)
    assert [node["title"] for node in second["nodes"]] == ["T3", "T4"]
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    back = await listed(inbox(), f'(last: 1, before: "{second["pageInfo"]["startCursor"]}")', selection)
    assert [node["title"] for node in back["nodes"]] == ["T2"]
    assert (back["pageInfo"]["hasNextPage"], back["pageInfo"]["hasPreviousPage"]) == (True, True)
    empty = await listed(FakeViewerApi(), "", selection)
    assert empty["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


@pytest.mark.parametrize(
    "other",
    [
        "orderBy: CREATED",
        "filter: null",
        'filter: { isArchived: false, text: "tea" }',
        'filter: { isArchived: false, assistantId: "asst_1" }',
    ],
)
async def test_a_cursor_of_another_filter_or_order_is_refused(other: str) -> None:
    viewer = inbox()
    cursor = (await listed(viewer, "(first: 1)", "pageInfo { endCursor }"))["pageInfo"]["endCursor"]
    error = await refused_argument(viewer, f'threads({other}, after: "{cursor}") {{ nodes {{ id }} }}')
    assert "Argument 'after': expected a cursor of the same list: with this filter, and in this order" in error.message
    assert await listed_ids(viewer, f'(filter: {{ isArchived: false }}, first: 1, after: "{cursor}")') == ["thread_2"]


async def test_a_cursor_of_another_list_is_refused() -> None:
    viewer = inbox()
    viewer.wait(RunKey("thread_1", "run_1"), 1)
    cursor = (await listed(viewer, "(first: 1)", "pageInfo { endCursor }"))["pageInfo"]["endCursor"]
    error = await refused_argument(viewer, f'waitingRuns(after: "{cursor}") {{ nodes {{ id }} }}')
    assert "expected a cursor of the list viewer.waitingRuns" in error.message


RECORDS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), max_size=12
)  # few different times, so that many are equal


@examples(60)
@given(RECORDS, st.integers(1, 4), st.booleans(), st.sampled_from(["LAST_ACTIVITY", "CREATED"]))
async def test_the_pages_of_a_list_are_the_list(
    times: list[tuple[int, int, bool]], size: int, backwards: bool, order: str
) -> None:
    viewer = FakeViewerApi()
    for number, (created, later, is_archived) in enumerate(times):
        viewer.add(f"thread_{number}", created, created + later, is_archived=is_archived)
    whole = await listed_ids(viewer, f"(first: 1000, orderBy: {order})")
    assert len(whole) == sum(not is_archived for _, _, is_archived in times)
    pages: list[list[str]] = []
    at, goes_on = "", True
    while goes_on:
        window = f"last: {size}" if backwards else f"first: {size}"
        page = await listed(
            viewer,
            f"({window}{at}, orderBy: {order})",
            "nodes { upstreamId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }",
        )
        ids, info = [node["upstreamId"] for node in page["nodes"]], page["pageInfo"]
        pages = [ids, *pages] if backwards else [*pages, ids]
        goes_on = info["hasPreviousPage" if backwards else "hasNextPage"]
        at = f', before: "{info["startCursor"]}"' if backwards else f', after: "{info["endCursor"]}"'
    assert [one for page in pages for one in page] == whole


async def test_what_the_gateway_keeps_of_listed_threads_costs_neither_a_call_nor_a_second_read() -> None:
    viewer, api = inbox(), upstream_threads()
    viewer.records["thread_1"] = viewer.records["thread_1"].__class__(
        "thread_1", 0, 99_000, "T1", usage=TokenUsage(1, 2, 3, None, 4)
    )
    fields = "id upstreamId title isArchived lastActivityAt usage { totalTokens cachedTokens reasoningTokens }"
    data = await query_data(api, f"{{ viewer {{ threads(first: 1) {{ nodes {{ {fields} }} }} }} }}", viewer=viewer)
    (node,) = data["viewer"]["threads"]["nodes"]
    assert node == {
        "id": to_global_id(ThreadKey("thread_1")),
        "upstreamId": "thread_1",
        "title": "T1",
        "isArchived": False,
        "lastActivityAt": "1970-01-01T00:01:39Z",
        "usage": {"totalTokens": 3, "cachedTokens": None, "reasoningTokens": 4},
    }
    assert api.calls == []
    assert [name for name, _ in viewer.calls] == ["list_records"]


async def test_upstream_fields_of_listed_threads_are_loaded_together() -> None:
    viewer, api = inbox(), upstream_threads(1, 2, 3, 4)
    data = await query_data(
        api,
        "{ viewer { threads { nodes { metadata messages { nodes { id } } } edges { node { createdAt } } } } }",
        viewer=viewer,
    )
    assert [node["metadata"] for node in data["viewer"]["threads"]["nodes"]] == [{"n": str(one)} for one in range(1, 5)]
    assert called_functions(api) == ["get_threads", "list_messages"]
    assert len(data["viewer"]["threads"]["edges"]) == 4


async def test_a_thread_that_is_gone_upstream_is_left_out_and_the_cursors_stay() -> None:
    viewer, api = inbox(), upstream_threads(1, 3, 4)
    selection = "nodes { metadata } edges { node { upstreamId } } pageInfo { endCursor hasNextPage }"
    page = "{ viewer { threads(first: 2%s) { %s } } }"
    first = (await query_data(api, page % ("", selection), viewer=viewer))["viewer"]["threads"]
    assert [edge["node"]["upstreamId"] for edge in first["edges"]] == ["thread_1"]
    assert first["pageInfo"]["hasNextPage"]
    after = f', after: "{first["pageInfo"]["endCursor"]}"'
    second = (await query_data(api, page % (after, selection), viewer=viewer))["viewer"]["threads"]
    assert [edge["node"]["upstreamId"] for edge in second["edges"]] == ["thread_3", "thread_4"]


async def test_a_thread_that_cannot_be_read_keeps_what_the_gateway_knows() -> None:
    viewer, api = inbox(2), upstream_threads(1)
    viewer.add("thread_2", 1, title="T2")
    api.fail[ThreadKey("thread_2")] = GatewayError(ErrorCode.UPSTREAM_FAILED, "It failed.")
    result = await execute(api, "{ viewer { threads { nodes { title createdAt } } } }", viewer=viewer)
    assert result.data is not None
    assert [node["title"] for node in result.data["viewer"]["threads"]["nodes"]] == ["T1", "T2"]
    assert paths_and_codes(result) == [(["viewer", "threads", "nodes", 1, "createdAt"], "UPSTREAM_FAILED")]


async def test_waiting_runs_come_in_the_order_of_their_wait() -> None:
    viewer, api = inbox(), conversation()
    viewer.wait(RunKey("thread_2", "run_2"), 9)
    viewer.wait(RunKey("thread_1", "run_1"), 3)
    selection = "nodes { upstreamId thread { title } } pageInfo { hasNextPage endCursor }"
    data = await query_data(api, f"{{ viewer {{ waitingRuns {{ {selection} }} }} }}", viewer=viewer)
    assert data["viewer"]["waitingRuns"]["nodes"] == [
        {"upstreamId": "run_1", "thread": {"title": "T1"}},
        {"upstreamId": "run_2", "thread": {"title": "T2"}},
    ]
    assert api.calls == []
    assert viewer.called("get_records") == [[ThreadKey("thread_1"), ThreadKey("thread_2")]]
    first = await query_data(api, f"{{ viewer {{ waitingRuns(first: 1) {{ {selection} }} }} }}", viewer=viewer)
    info = first["viewer"]["waitingRuns"]["pageInfo"]
    assert info["hasNextPage"]
    rest = f'{{ viewer {{ waitingRuns(after: "{info["endCursor"]}") {{ {selection} }} }} }}'
    assert len((await query_data(api, rest, viewer=viewer))["viewer"]["waitingRuns"]["nodes"]) == 1


async def test_a_waiting_run_that_is_gone_is_left_out() -> None:
    viewer, api = FakeViewerApi(), FakeThreadsApi(runs={RunKey("thread_1", "run_1"): run(status="requires_action")})
    viewer.wait(RunKey("thread_1", "run_0"), 1)
    viewer.wait(RunKey("thread_1", "run_1"), 2)
    data = await query_data(api, "{ viewer { waitingRuns { nodes { status } } } }", viewer=viewer)
    assert data["viewer"]["waitingRuns"]["nodes"] == [{"status": "REQUIRES_ACTION"}]


async def test_usage_is_summed_up_over_a_span_of_time() -> None:
    viewer = FakeViewerApi(ended=[(1000, TokenUsage(1, 2, 3)), (2000, TokenUsage(10, 20, 30, 4, 5))])
    fields = "{ promptTokens completionTokens totalTokens cachedTokens reasoningTokens }"
    document = f"""{{ viewer {{
        all: usage {fields}
        one: usage(since: "1970-01-01T00:00:01Z", until: "1970-01-01T00:00:02Z") {fields}
    }} }}"""
    data = (await query_data(FakeThreadsApi(), document, viewer=viewer))["viewer"]
    assert list(data["all"].values()) == [11, 22, 33, 4, 5]
    assert list(data["one"].values()) == [1, 2, 3, None, None]
    assert sorted(viewer.called("get_usage"), key=str) == [(1000, 2000), (None, None)]


async def test_limits_are_shown_as_far_as_they_are_set() -> None:
    viewer = FakeViewerApi(limits=RateLimitState(1_000, calls_limit=100, calls_remaining=7))
    fields = "callsLimit callsRemaining operationsLimit operationsRemaining runsLimit runsRemaining resetsAt"
    data = await query_data(FakeThreadsApi(), f"{{ viewer {{ rateLimit {{ {fields} }} }} }}", viewer=viewer)
    assert list(data["viewer"]["rateLimit"].values()) == [100, 7, None, None, None, None, "1970-01-01T00:00:01Z"]


AWAY = """{
  viewer {
    id
    subject
    threads { nodes { id } }
    waitingRuns { nodes { id } }
    usage { totalTokens }
    rateLimit { resetsAt }
  }
  thread(id: "thread_1") {
    title isArchived lastActivityAt usage { totalTokens } metadata
    messages { nodes { text thread { title } } }
  }
  threadsByIds(ids: ["thread_1", "thread_1"]) { title metadata }
}"""


async def test_where_the_database_is_away_only_what_it_would_answer_is_null_with_one_error() -> None:
    there, away = inbox(), inbox()
    away.is_away = True
    expected = await query_data(conversation(), AWAY, viewer=there)
    result = await execute(conversation(), AWAY, viewer=away)
    assert [code for _, code in paths_and_codes(result)] == ["LEDGER_UNAVAILABLE"]
    assert result.data == without_kept(expected)


def without_kept(value: Any) -> Any:
    kept = {"threads", "waitingRuns", "usage", "title", "isArchived", "lastActivityAt"}
    if isinstance(value, list):
        return [without_kept(item) for item in value]
    if isinstance(value, dict):
        return {name: None if name in kept else without_kept(item) for name, item in value.items()}
    return value


async def test_one_bad_record_is_null_with_one_error_whatever_else_fails() -> None:
    viewer, api = FakeViewerApi(is_away=True), conversation()
    document = (
        '{ a: thread(id: "thread_1") { title } b: message(id: "x") { text } c: thread(id: "thread_1") { title } }'
    )
    result = await execute(api, document, viewer=viewer)
    assert [code for _, code in paths_and_codes(result)].count("LEDGER_UNAVAILABLE") == 1
    assert [code for _, code in paths_and_codes(result)].count("BAD_USER_INPUT") == 1
    assert len(paths_and_codes(result)) == 2


async def test_without_a_database_the_lists_are_unsupported_and_the_fields_of_threads_null() -> None:
    viewer = FakeViewerApi(keeps_records=False)
    for field in ("threads { nodes { id } }", "waitingRuns { nodes { id } }", "usage { totalTokens }"):
        error = await refused_argument(viewer, field)
        assert error.code is ErrorCode.UNSUPPORTED
        assert "GATEWAY_DATABASE_URL" in error.message
    document = (
        '{ viewer { id } thread(id: "thread_1") { title isArchived lastActivityAt usage { totalTokens } metadata } }'
    )
    data = await query_data(conversation(), document, viewer=viewer)
    assert list(data["thread"].values()) == [None, None, None, None, {"topic": "tea"}]


async def test_an_unexpected_error_of_the_port_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeViewerApi):
        async def get_usage(self, since_ms: int | None, until_ms: int | None) -> TokenUsage:
            raise ValueError("a secret")

    with caplog.at_level(logging.CRITICAL):
        result = await execute(FakeThreadsApi(), "{ viewer { id usage { totalTokens } } }", viewer=Broken())
    assert [code for _, code in paths_and_codes(result)] == ["INTERNAL"]
    assert "secret" not in json.dumps([error.formatted for error in result.errors or []])


async def test_pages_are_held_to_the_limit() -> None:
    result = await execute(
        FakeThreadsApi(), "{ viewer { threads(first: 6) { nodes { id } } } }", limits=PagingLimits(5), viewer=inbox()
    )
    assert paths_and_codes(result) == [(["viewer", "threads"], "BAD_USER_INPUT")]
