"""The predicted number of upstream calls: exact if possible, and never below the real number."""

from pathlib import Path
from typing import Any

import pytest
from graphql import parse, validate
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.keys import MessageKey, RunKey, ThreadKey, to_global_id
from schema.contract.paging import CursorScope, PagingLimits
from schema.engine.context import Context
from schema.operations.operation_reader import MAX_SELECTIONS
from schema.operations.upper_bounds import find_upper_bounds
from tests.schema.builders import SCHEMA, conversation, conversation_with_files, execute
from tests.schema.operation_helpers import CORE, make_operation_reader, predict
from tests.schema.random_operations import (
    operations,
    random_changes,
    random_threads_api,
    random_viewer_api,
    subscriptions,
)
from tests.schema.subscription_helpers import begin_subscription, render_event
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.full_runs import examples

QUERIES = Path(__file__).parents[3] / "queries"
RUN = to_global_id(RunKey("thread_1", "run_1"))


EXAMPLES = {
    # In a document with two operations, the first one counts: the mutation.
    "00-my-threads": 5 + 10,
    "01-chat": 1,
    "02-inbox": 4 * (1 + 1 + 1) + 12 * (1 + 1),
    "03-conversation": 2 + 20,
    "04-run-with-steps": 1 + 1 + 1 + 20,
    "05-waiting-run": 1,
    "06-page-forwards": 2,
    "07-page-backwards": 1,
    "08-nodes": 3,
    "09-assistants": 1,
    "10-ask": 1 + 1,
    "11-reply": 2,
    "12-answer-tool-calls": 2,
    "13-tool-calls": 1,
    "14-run-status": 2,
    "15-resume": 0,
    "16-thread-events": 0,
    "17-files": 1 + 100,
    "18-send-files": 1,
}


def test_each_example_has_its_number() -> None:
    assert {path.stem: predict(path.read_text()) for path in sorted(QUERIES.glob("*.graphql"))} == EXAMPLES


TWENTY_ALIASES = " ".join(f't{number}: thread(id: "thread_1") {{ metadata }}' for number in range(20))
SEVERAL_TYPES = "{ ... on Run { status steps { nodes { id } } } ... on Thread { runs { nodes { id } } } }"
IN_RUN = f'runId: "{RUN}", toolOutputs: []'
IN_X = 'threadId: "x", assistantId: "y"'
ADDED = f'{IN_X}, additionalMessages: [{{ content: [{{ text: "a" }}] }}]'
SHARED = "{ ... on CreateRunPayload { messages { text } } thread { messages(last: 5) { nodes { id } } } }"
PARTS = "run { thread { metadata } } thread { metadata }"
THREAD = '{ thread(id: "thread_1") { %s } }'


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        # ---- lookups, and the pages that prove them
        (THREAD % "id", 1),
        (THREAD % "metadata", 1),
        (THREAD % "metadata messages { nodes { text } }", 2),
        (THREAD % "id messages { nodes { text } } runs { nodes { status } }", 2),
        (THREAD % "activeRun { status } runs(last: 5) { nodes { status } }", 1),
        (THREAD % "__typename id upstreamId activeRun { id } messages { nodes { id } } runs { nodes { id } }", 3),
        ('{ threadsByIds(ids: ["x", "no id", "y"]) { metadata runs { nodes { id } } } }', 4),
        ('{ thread(id: "no id") { metadata } }', 0),
        (f'{{ run(id: "{RUN}") {{ id messages {{ nodes {{ text }} }} }} }}', 2 + 4),
        (f'{{ run(id: "{RUN}") {{ id steps {{ nodes {{ type }} }} }} }}', 1),
        # ---- shared calls
        (f"{{ {TWENTY_ALIASES} }}", 1),
        ('{ a: thread(id: "x") { metadata } b: thread(id: "x") { messages { nodes { id } } } }', 2),
        (f'{{ a: thread(id: "{to_global_id(ThreadKey("x"))}") {{ metadata }} b: thread(id: "x") {{ createdAt }} }}', 1),
        (THREAD % "a: messages(first: 2) { nodes { id } } b: messages(first: 7) { nodes { id } }", 1),
        (THREAD % "a: messages(first: 2) { nodes { id } } b: messages(last: 7) { nodes { id } }", 2),
        (THREAD % "a: messages(first: 9) { nodes { id } } b: messages(first: 3) { nodes { run { status } } }", 1 + 3),
        (THREAD % "messages { nodes { run { id steps(first: 2) { nodes { id } } } } }", 1 + 20),
        # ---- pages above the upstream's limit
        (THREAD % "messages(first: 1000) { nodes { id } }", 10),
        (THREAD % "messages(first: 101) { nodes { id } }", 2),
        (THREAD % "a: messages(first: 150) { nodes { id } } b: messages(first: 250) { nodes { id } }", 3 + 1),
        # ---- pages of one run's messages, of which the upstream may send more pages than are shown
        (THREAD % 'messages(runId: "run_1") { nodes { id } }', 1 + 4),
        (THREAD % "messages(runId: null) { nodes { id } }", 1),
        (THREAD % 'messages(runId: "run_1", first: 250) { nodes { id } }', 3 + 4),
        (THREAD % 'a: messages(runId: "run_1") { nodes { id } } b: messages(runId: "run_1") { nodes { text } }', 1 + 4),
        (THREAD % "runs(first: 3) { nodes { messages { nodes { id } } } }", 1 + 3 * 5),
        (THREAD % "runs(first: 3) { nodes { thread { messages { nodes { id } } } } }", 1 + 1),
        # ---- references
        (THREAD % "messages(last: 3) { nodes { run { id thread { id } } assistant { id } thread { id } } }", 1),
        (THREAD % "messages(last: 3) { nodes { assistant { __typename id upstreamId } } }", 1),
        (THREAD % "messages(last: 3) { nodes { run { status } assistant { name } } }", 1 + 3 + 3),
        (THREAD % "messages(last: 3) { nodes { run { status assistant { name } } } }", 1 + 3 + 3),
        (THREAD % "messages(last: 3) { nodes { thread { metadata runs { nodes { id } } } } }", 1 + 1 + 1),
        (THREAD % "messages(last: 9) { nodes { thread { messages(last: 3) { nodes { id } } } } }", 1),
        (THREAD % "messages(last: 3) { nodes { thread { messages(last: 9) { nodes { id } } } } }", 2),
        (THREAD % "runs(first: 2) { nodes { steps { nodes { run { status } thread { metadata } } } } }", 1 + 2 + 1),
        (
            THREAD % "runs(first: 2) { edges { node { steps(first: 3) { nodes { assistant { id name } } } } } }",
            1 + 2 + 6,
        ),
        (THREAD % "messages(first: 2) { nodes { files { nodes { message { role } } } } }", 1 + 2),
        # ---- conditions, fragments, several types
        (
            THREAD
            % "metadata @skip(if: true) runs { nodes { id } } ... @include(if: false) { messages { nodes { id } } }",
            1,
        ),
        (
            f'{{ nodes(ids: ["{RUN}", "{to_global_id(ThreadKey("x"))}"]) {SEVERAL_TYPES} }}',
            2 + 1,
        ),
        (f'{{ node(id: "{RUN}") {{ id ... on Node {{ ... on Run {{ thread {{ metadata }} }} }} }} }}', 2),
        ('{ threadsByIds(ids: ["x", "y", "x"]) { metadata messages(last: 5) { nodes { run { status } } } } }', 2 * 7),
        # ---- writes
        ('mutation { deleteAssistant(input: { assistantId: "asst_1" }) { deletedId } }', 1),
        ('mutation { deleteFile(input: { fileId: "file-1" }) { deletedId } }', 1),
        ("mutation { createThread(input: {}) { thread { metadata messages { nodes { id } } } } }", 1 + 1),
        (f"mutation {{ createRun(input: {{ {IN_X} }}) {{ run {{ status }} thread {{ id }} }} }}", 1),
        (f"mutation {{ createRun(input: {{ {IN_X} }}) {{ {PARTS} }} }}", 2),
        (f"mutation {{ createRun(input: {{ {IN_X} }}) {{ messages {{ text }} }} }}", 1),
        (f"mutation {{ createRun(input: {{ {ADDED} }}) {{ run {{ id }} }} }}", 1),
        (f"mutation {{ createRun(input: {{ {ADDED} }}) {{ messages {{ text thread {{ id }} }} }} }}", 2),
        (
            f"mutation {{ createRun(input: {{ {ADDED} }}) {SHARED} }}",
            2,
        ),
        (
            f"mutation {{ submitToolOutputs(input: {{ {IN_RUN} }}) {{ run {{ status assistant {{ name }} }} }} }}",
            1 + 1 + 1,
        ),
        # ---- no calls
        ("{ upstream { version } __typename __schema { types { name fields { name } } } }", 0),
        ('{ thread(id: "not an id") { metadata } }', 0),
        ("{ assistants(first: 0) { nodes { id } } }", 1),
        ("{ assistants(first: 5) { nodes { id } } b: assistants(first: 9) { nodes { model } } }", 1),
    ],
)
def test_shared_calls_count_once(document: str, calls: int) -> None:
    assert validate(CORE, parse(document)) == []
    assert predict(document) == calls


def test_a_cursor_of_one_list_below_many_objects_is_a_page_of_each() -> None:
    cursor = CursorScope("steps", RunKey("thread_1", "run_1")).to_cursor("step_1")
    assert (
        predict(THREAD % f'runs(first: 4) {{ nodes {{ steps(first: 2, after: "{cursor}") {{ nodes {{ id }} }} }} }}')
        == 5
    )


def test_each_cursor_below_a_mutation_payload_is_a_page_of_its_own() -> None:
    cursors = [CursorScope("runs", ThreadKey("x")).to_cursor(f"run_{number}") for number in range(2)]
    pages = " ".join(
        f'r{at}: runs(first: 1, after: "{cursor}") {{ nodes {{ id }} }}' for at, cursor in enumerate(cursors)
    )
    assert predict(f'mutation {{ updateThread(input: {{ threadId: "x" }}) {{ thread {{ {pages} }} }} }}') == 1 + 2


def test_a_page_behind_a_cursor_proves_nothing() -> None:
    cursor = CursorScope("messages", ThreadKey("thread_1")).to_cursor("msg_1")
    assert predict(THREAD % f'id messages(first: 2, after: "{cursor}") {{ nodes {{ id }} }}') == 2


def test_the_variables_are_those_of_the_request() -> None:
    document = """
        query ($id: ID!, $size: Int = 3, $all: Boolean! = false) {
            thread(id: $id) {
                messages(last: $size) { nodes { run { status } } }
                runs @include(if: $all) { nodes { id } }
            }
        }
    """
    assert predict(document, {"id": "x"}) == 4
    assert predict(document, {"id": "x", "size": 7, "all": True}) == 9
    assert predict(document, {"id": "x", "size": None}) == 21


def test_a_refused_page_has_no_calls_below_it() -> None:
    document = THREAD % "messages(first: 50) { nodes { run { status } } }"
    assert predict(document) == 51
    assert predict(document, limits=PagingLimits(max_page_size=49)) == 2


def test_the_operation_is_the_one_that_is_named() -> None:
    document = "query A { upstream { version } } query B { assistants { nodes { id } } }"
    assert [predict(document, name=name) for name in ("A", "B")] == [0, 1]


def test_fragments_that_unfold_without_end_are_bounded_in_time() -> None:
    levels, aliases = 8, 9
    fragments = [
        f"fragment F{n} on Thread {{ "
        + " ".join(f"a{a}: messages(first: {a + 1}) {{ nodes {{ thread {{ ...F{n + 1} }} }} }}" for a in range(aliases))
        + " }"
        for n in range(levels)
    ]
    document = " ".join([THREAD % "...F0", *fragments, f"fragment F{levels} on Thread {{ metadata }}"])
    assert validate(CORE, parse(document)) == []
    assert aliases**levels > 1000 * MAX_SELECTIONS
    assert predict(document) > 1000


def test_every_root_field_is_predicted() -> None:
    samples = {
        "node": f'(id: "{RUN}") {{ ... on Run {{ status }} }}',
        "nodes": f'(ids: ["{RUN}"]) {{ ... on Run {{ status }} }}',
        "thread": '(id: "x") { metadata }',
        "threadsByIds": '(ids: ["x"]) { metadata }',
        "message": f'(id: "{to_global_id(MessageKey("x", "y"))}") {{ role }}',
        "run": f'(id: "{RUN}") {{ status }}',
        "assistant": '(id: "x") { name }',
        "assistants": "{ nodes { name } }",
        "file": '(id: "x") { filename }',
        "viewer": "{ threads(first: 1) { nodes { metadata } } }",
    }
    assert samples.keys() | {"upstream"} == CORE.query_type.fields.keys()
    assert {name: predict(f"{{ {name}{rest} }}") for name, rest in samples.items()} == dict.fromkeys(samples, 1)


@pytest.mark.parametrize("name", CORE.mutation_type.fields)
def test_every_mutation_counts_its_write(name: str) -> None:
    input_type = str(CORE.mutation_type.fields[name].args["input"].type).rstrip("!")
    document = f"mutation ($in: {input_type}) {{ {name}(input: $in) {{ clientMutationId }} }}"
    assert predict(document) == (2 if name.startswith("submitTool") else 1)


@pytest.mark.parametrize(
    ("name", "selection", "calls"),
    [
        ("updateMessage", "message { metadata }", 1),
        ("updateMessage", "message { attachments { fileId } again: attachments { tools } }", 2),
        ("createMessage", "message { attachments { fileId } }", 1),
    ],
)
def test_attachments_that_the_answer_to_a_change_lacks_are_one_more_call(name: str, selection: str, calls: int) -> None:
    input_type = str(CORE.mutation_type.fields[name].args["input"].type).rstrip("!")
    assert predict(f"mutation ($in: {input_type}) {{ {name}(input: $in) {{ {selection} }} }}") == calls


@examples(200)
@given(document=operations(), seed=st.integers(0, 30))
async def test_no_operation_makes_more_calls_than_predicted(document: str, seed: int) -> None:
    assert validate(CORE, parse(document)) == []
    api = random_threads_api(seed)
    await execute(api, document, viewer=random_viewer_api(seed))
    assert api.key_count <= predict(document), api.calls


THREADS = "{ viewer { threads(first: 5%s) { %s } } }"
RUNS = "{ viewer { waitingRuns(first: 5) { nodes { %s } } } }"


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        ("{ viewer { id subject roles usage { totalTokens } rateLimit { callsLimit } } }", 0),
        ('{ thread(id: "x") { title } }', 1),
        ('{ thread(id: "x") { title isArchived messages { nodes { thread { title } } } } }', 1),
        # ---- a list that is kept costs nothing, nor do what is kept of its threads, and their keys
        (THREADS % ("", "nodes { id upstreamId title usage { totalTokens } } pageInfo { endCursor }"), 0),
        (THREADS % ("", "nodes { metadata }"), 5),
        (THREADS % ("", "nodes { metadata } edges { node { createdAt } }"), 5),
        (THREADS % ("", "nodes { title messages(last: 1) { nodes { text } } }"), 5),
        (THREADS % ("", "nodes { messages(last: 2) { nodes { run { status } thread { title } } } }"), 5 + 10),
        (THREADS % ("", "nodes { messages { nodes { thread { metadata } } } }"), 5 + 5),
        (THREADS % (", orderBy: CREATED", "nodes { activeRun { steps(first: 3) { nodes { id } } } }"), 5 + 5),
        ("{ viewer { a: threads { nodes { metadata } } b: threads { nodes { createdAt } } } }", 20),
        ("{ viewer { a: threads { nodes { metadata } } b: threads(first: 3) { nodes { createdAt } } } }", 20 + 3),
        ("{ viewer { threads(first: 2000) { nodes { metadata } } } }", 0),
        (RUNS % "id thread { id title }", 0),
        (RUNS % "status", 5),
        (RUNS % "status thread { metadata } steps(first: 2) { nodes { id } }", 5 + 5 + 5),
        # ---- titles
        ('mutation { createThread(input: { title: "a" }) { thread { id title metadata } } }', 1),
        ('mutation { updateThread(input: { threadId: "x", title: "a" }) { thread { metadata } } }', 1),
        ('mutation { updateThread(input: { threadId: "x", title: "a" }) { thread { runs { nodes { id } } } } }', 2),
    ],
)
def test_what_the_gateway_keeps_costs_nothing_and_the_nodes_of_its_lists_are_references(
    document: str, calls: int
) -> None:
    assert validate(CORE, parse(document)) == []
    assert predict(document) == calls


FOLLOWED = "subscription { " + f'runEvents(runId: "{RUN}")' + " { %s } }"
ASSISTANTS = "messages { assistant { name } }"


@pytest.mark.parametrize(
    ("selection", "calls"),
    [
        # ---- objects of the event, and references back to them
        ("cursor: __typename", 0),
        ("... on RunStatusChange { status run { id status } }", 0),
        ("... on TextDelta { value annotations { __typename } }", 0),
        ("... on RunSnapshot { run { status } messages { text thread { id } } steps { status run { status } } }", 0),
        ("... on MessageCreated { message { text } }", 0),
        # ---- loads of the event
        ("... on StepChanged { step { run { status } } }", 1),
        ("... on RunStatusChange { run { thread { metadata } assistant { name } } }", 2),
        ("... on RunStatusChange { run { messages { nodes { id } } steps { nodes { id } } } }", 2 + 4),
        ("... on RunStatusChange { run { messages(first: 3) { nodes { assistant { name } } } } }", 1 + 4 + 3),
        ("... on RunSnapshot { messages { thread { metadata } } run { thread { metadata } } }", 1),
        (f"... on RunSnapshot {{ {ASSISTANTS} }}", 100),
        (f"... on RunSnapshot {{ a: {ASSISTANTS} b: {ASSISTANTS} }}", 100),
        ("... on RunSnapshot { steps { assistant { name } } messages { files(first: 2) { nodes { id } } } }", 200),
        ("... on MessageFinished { message { run { status } } }", 1),
        # ---- an event is of one type
        (f"... on RunSnapshot {{ {ASSISTANTS} }} ... on StepChanged {{ step {{ run {{ status }} }} }}", 100),
        ("... on MessageCreated { message { run { status } } } ... on StepChanged { step { run { status } } }", 1),
    ],
)
def test_a_subscription_is_predicted_by_its_most_expensive_event_type(selection: str, calls: int) -> None:
    document = FOLLOWED % selection
    assert validate(CORE, parse(document)) == []
    assert predict(document) == calls


def test_every_subscription_field_is_predicted() -> None:
    samples = {
        "runStatus": f'(runId: "{RUN}") {{ run {{ thread {{ metadata }} }} }}',
        "runEvents": f'(runId: "{RUN}") {{ ... on MessageCreated {{ message {{ thread {{ metadata }} }} }} }}',
        "threadEvents": '(threadId: "x") { ... on RunStatusChange { run { thread { metadata } } } }',
        "viewerEvents": "{ ... on ThreadChanged { thread { title metadata } } }",
    }
    assert samples.keys() == CORE.subscription_type.fields.keys()
    assert {name: predict(f"subscription {{ {name}{rest} }}") for name, rest in samples.items()} == dict.fromkeys(
        samples, 1
    )


@examples(100)
@given(document=subscriptions(), seed=st.integers(0, 30))
async def test_no_event_makes_more_calls_than_predicted(document: str, seed: int) -> None:
    assert validate(CORE, parse(document)) == []
    subscribed = await begin_subscription(FakeRunEvents(), document)
    most = predict(document)
    for change in random_changes(random_threads_api(seed)):
        api, event = random_threads_api(seed), run_event(change)
        await render_event(subscribed, event, api)
        assert api.key_count <= subscribed.predict_calls(event) <= most, (type(change), api.calls)


def test_the_prediction_is_never_above_the_upper_bound_even_for_pages_of_different_length() -> None:
    runs = "{ run { status } }"
    long_outside = f"a: messages(first: 1000) {{ nodes {{ files(first: 1) {{ nodes {{ message {runs} }} }} }} }}"
    long_inside = f"b: messages(first: 1) {{ nodes {{ files(first: 1000) {{ nodes {{ message {runs} }} }} }} }}"
    document = THREAD % f"{long_outside} {long_inside}"
    assert validate(CORE, parse(document)) == []
    assert predict(document) <= find_upper_bounds(make_operation_reader(document), 1000).calls


@pytest.mark.parametrize("api", [conversation(3), conversation_with_files()])
async def test_the_context_has_the_prediction_if_the_cost_is_reported(api: Any) -> None:
    for reports_cost, predicted_calls in ((True, 2), (False, 0)):
        context = Context(api, reports_cost=reports_cost)
        await SCHEMA.execute(THREAD % "metadata messages { nodes { text } }", context_value=context)
        await context.aclose()
        assert context.predicted_calls == predicted_calls
    assert api.key_count == 4
