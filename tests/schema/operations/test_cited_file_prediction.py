"""The calls for files that objects cite: predicted together, and never fewer than are made."""

import pytest
from graphql import parse, validate

from schema.contract.keys import MessageKey, RunKey, to_file_id, to_global_id
from tests.schema.operation_helpers import CORE, predict

MESSAGE = to_global_id(MessageKey("thread_1", "msg_1"))
FOLLOWED = "subscription { " + f'runEvents(runId: "{to_global_id(RunKey("thread_1", "run_1"))}")' + " { %s } }"
MESSAGES = '{ thread(id: "x") { messages(first: %s) { nodes { %s } } } }'
ATTACHED = "attachments { file { filename } }"
IMAGES = "content { ... on ImageFileContent { file { filename } } }"


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        # ---- the key and the gateway answer
        (MESSAGES % (100, "attachments { file { id upstreamId contentUrl } }"), 1),
        (
            MESSAGES % (100, "attachments { file { ...Id } }")
            + " fragment Id on File { __typename ... on Node { id } }",
            1,
        ),
        # ---- each field of an object counts, and all together at most as many files as may be loaded
        (f'{{ message(id: "{MESSAGE}") {{ {ATTACHED} }} }}', 1 + 20),
        (f'{{ message(id: "{MESSAGE}") {{ {ATTACHED} {IMAGES} }} }}', 1 + 40),
        (MESSAGES % (2, ATTACHED), 1 + 2 * 20),
        (MESSAGES % (20, ATTACHED), 1 + 100),
        (MESSAGES % (250, f"{ATTACHED} {IMAGES} run {{ status }}"), 3 + 250 + 100),
        (MESSAGES % (2, "files(first: 3) { nodes { file { filename } } }"), 1 + 2 + 6),
        (f'mutation {{ updateMessage(input: {{ messageId: "{MESSAGE}" }}) {{ message {{ {IMAGES} }} }} }}', 1 + 20),
        ('{ assistants { nodes { name } } file(id: "a") { filename } again: file(id: "a") { bytes } }', 2),
        # ---- a lookup by an id is no citation
        (f'{{ nodes(ids: ["{to_file_id("a")}", "{to_file_id("b")}"]) {{ ... on File {{ filename }} }} }}', 2),
        # ---- of a subscription, the event that cites the most files counts
        (FOLLOWED % f"... on MessageCreated {{ message {{ {ATTACHED} }} }}", 20),
        (FOLLOWED % f"... on TextDelta {{ value }} ... on RunSnapshot {{ messages {{ {ATTACHED} {IMAGES} }} }}", 100),
        (FOLLOWED % "... on TextDelta { annotations { ... on FilePath { file { bytes } } } }", 20),
    ],
)
def test_files_that_objects_cite_count_together(document: str, calls: int) -> None:
    assert validate(CORE, parse(document)) == []
    assert predict(document) == calls
