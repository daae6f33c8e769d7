"""Requests for responses with any values in any fields: refused in the API's words, or taken and readable later."""

import json
from contextlib import closing, suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.response_bodies import CreateResponse
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.registry import operations
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START
from tests.support.full_runs import examples

OPERATIONS = {operation.name: operation for operation in operations()}
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 5, -1, 0.5, 1e400, "", "x", "auto", "none", "resp_1", "conv_1"]),
    st.sampled_from([[], {}, [{}], [5], {"type": "function"}, {"type": []}, {"id": "conv_1"}, {"format": 5}]),
    st.sampled_from([{"effort": 5}, {"effort": "low"}, {"format": {"type": "json_schema"}}, {"verbosity": []}]),
)
CONTENT = st.one_of(
    VALUES,
    st.lists(
        st.builds(
            lambda kind, extra: {"type": kind, "text": "a", **extra},
            st.sampled_from(["input_text", "input_image", "input_file", "output_text", "refusal", "x"]),
            st.sampled_from([{}, {"file_id": 5}, {"file_id": "file-1"}, {"annotations": [{"file_id": 5}]}]),
        ),
        max_size=2,
    ),
)
ITEMS = st.builds(
    lambda kind, fields: {**({} if kind is None else {"type": kind}), **fields},
    st.sampled_from(
        [
            None,
            *("message", "function_call", "function_call_output", "mcp_approval_request", "mcp_approval_response"),
            *("item_reference", "reasoning", "code_interpreter_call", "file_search_call", "telepathy"),
        ]
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "x"]),
            "content": CONTENT,
            "call_id": st.sampled_from(["c", 5]),
            "name": st.sampled_from(["f", 5]),
            "arguments": st.sampled_from(["{}", {}]),
            "output": CONTENT,
            "id": st.sampled_from(["q", None]),
            "approval_request_id": st.just("q"),
            "approve": st.booleans(),
            "results": VALUES,
        },
    ),
)
TOOLS = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(["function", "file_search", "code_interpreter", "web_search", 5]),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["f", 5]),
            "parameters": st.sampled_from([{"type": 5}, {"properties": 5}, {"$ref": "#/a"}, None]),
            "vector_store_ids": st.sampled_from([["vs_1"], [5], 5]),
            "ranking_options": st.sampled_from([{"score_threshold": "x"}, {"score_threshold": None}, {}, 5]),
            "max_num_results": st.sampled_from([3, 0, "x"]),
            "container": st.sampled_from(["c", {"type": "auto", "file_ids": 5}, {"file_ids": [5]}, {"type": "auto"}]),
        },
    ),
)
BODIES = st.builds(
    lambda items, tools, others: {"model": "m", "input": items, "tools": tools, "background": True} | others,
    st.lists(ITEMS, max_size=3),
    st.lists(TOOLS, max_size=2),
    st.dictionaries(st.sampled_from(sorted(CreateResponse.model_fields)), VALUES, max_size=2),
)
SEARCH = {"type": "file_search", "vector_store_ids": ["vs_1"]}


def call(store: Store, name: str, body: Any = None, *, now: float = START, **path: str) -> Any:
    made = ApiCall(
        store=store,
        partition="mine",
        version="v2",
        now=now,
        path=path,
        query={},
        includes=frozenset(),
        body=b"" if body is None else json.dumps(body).encode(),
    )
    with store.transaction():
        return OPERATIONS[name].perform(made)


@examples(500)
@given(body=BODIES)
@example(body={"tools": [{**SEARCH, "ranking_options": {"score_threshold": "x"}}], "input": "Hi"})
@example(body={"tools": [{**SEARCH, "ranking_options": {"score_threshold": None}}], "input": "Hi"})
@example(body={"tools": [{"type": "code_interpreter", "container": {"file_ids": 5}}], "input": "Hi"})
@example(body={"tools": [{"type": "code_interpreter", "container": {"file_ids": [5]}}], "input": "Hi"})
@example(body={"input": [{"type": "mcp_approval_request", "id": "q"}]})
@example(body={"input": "Hi", "reasoning": {"effort": 5}})
def test_any_request_is_refused_or_leads_to_a_response_that_can_be_read(body: dict[str, Any]) -> None:
    store = Store(":memory:")
    # Any other exception is an answer with the status 500.
    with closing(store), suppress(ApiError):
        made = call(store, "createResponse", {"model": "m", "background": True, **body})
        if isinstance(made, dict):
            made = call(store, "getResponse", now=START + 60, response_id=made["id"])
            assert made["status"] in {"completed", "failed", "incomplete"}
