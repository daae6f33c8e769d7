"""The source of a plan: it can be read, holds only names of a document, and computes the same as its fields."""

import ast
import re

import pytest
from hypothesis import given

from schema.engine import object_plan
from schema.engine.object_plan import COMPILED_AFTER
from tests.schema.builders import SCHEMA, conversation, execute, query_data
from tests.schema.random_operations import operations
from tests.support.full_runs import examples

MESSAGE = (
    '{ thread(id: "thread_1") { messages { nodes { words: text role createdAt content { __typename } run { id } } } } }'
)
SOURCE = """\
# Message
def complete(parent, execution):
    text = 0
    v0 = text_from_content_3(parent.wire.content)  # words: String!
    if type(v0) is str: text += len(v0) if v0.isascii() else text_bytes(v0)
    else: v0 = complete_4(v0, execution)
    v1 = recognize_5(MessageRole_6, parent.wire.role)  # role: MessageRole!
    v1 = names_7[v1._value_]
    v2 = to_date_time_8(parent.wire.created_at or None)  # createdAt: DateTime
    if v2 is not None:
        v2 = coerce_9(v2)
        text += len(v2) if type(v2) is str and v2.isascii() else measure_leaf(v2)
    v3 = content_from_wire_10(parent.wire.content)  # content: [MessageContent!]!
    if type(v3) is not list or len(v3) > 20 or execution.structure_bytes > execution.turn_ends_at:
        v3 = complete_12(v3, execution)
    elif v3:
        execution.structure_bytes += 2 * len(v3)
        v3 = [objects_11[type(item)](item, execution) for item in v3]
    response = {'words': v0, 'role': v1, 'createdAt': v2, 'content': v3, 'run': None}
    execution.structure_bytes += 50
    execution.object_count += 1
    execution.text_bytes += text
    if execution.structure_bytes + execution.text_bytes > execution.max_answer_bytes:
        raise NotCompilableError
    resolve_13(parent, execution, response, 'run')
    return response
"""


def test_the_source_of_a_position_reads_from_top_to_bottom() -> None:
    assert SOURCE in SCHEMA.show_plans(MESSAGE)


@examples(50)
@given(document=operations())
def test_of_a_document_only_response_names_come_into_the_source(document: str) -> None:
    parsed = SCHEMA.documents.parse(document)
    if parsed.errors:
        return
    source = SCHEMA.show_plans(document)
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    names = {text for text in texts if isinstance(text, str)}
    assert all(re.fullmatch(r"[_A-Za-z][_0-9A-Za-z]*", name) for name in names)
    assert names <= set(re.findall(r"\w+", document))
    assert {text for text in texts if not isinstance(text, str)} <= {None} | set(range(100_000))


async def test_names_that_mean_something_in_python_are_names_of_fields() -> None:
    names = ["None", "class", "text", "execution", "__debug__", "v0", "response"]
    document = f'{{ thread(id: "thread_1") {{ {" ".join(f"{name}: upstreamId" for name in names)} }} }}'
    for _ in range(3):
        data = await query_data(conversation(), document)
        assert data == {"thread": dict.fromkeys(names, "thread_1")}


@pytest.mark.compiled
async def test_a_plan_is_compiled_once_many_objects_were_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_plan, "COMPILED_AFTER", COMPILED_AFTER)
    document = '{ thread(id: "thread_1") { messages(first: 100) { nodes { text } } } }'
    compiled = count_compilations(monkeypatch)
    results = [await execute(conversation(number), document) for number in (30, 20, 1, 100)]
    assert [len((result.data or {})["thread"]["messages"]["nodes"]) for result in results] == [30, 20, 1, 100]
    assert compiled == ["text"]


@pytest.mark.compiled
async def test_an_object_with_very_many_fields_is_completed_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = count_compilations(monkeypatch)
    for count in (object_plan.MAX_COMPILED_FIELDS, object_plan.MAX_COMPILED_FIELDS + 1):
        fields = " ".join(f"a{number}: version" for number in range(count))
        for _ in range(3):
            data = await query_data(conversation(), f"{{ upstream {{ {fields} }} }}")
            assert len(data["upstream"]) == count
    assert compiled.count(" ".join(f"a{number}" for number in range(object_plan.MAX_COMPILED_FIELDS))) == 1
    assert all(names.count(" ") < object_plan.MAX_COMPILED_FIELDS for names in compiled)


@pytest.mark.compiled
async def test_a_pinned_document_is_compiled_before_it_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{ pinned: thread(id: "thread_1") { messages { nodes { text } } } }'
    compiled = count_compilations(monkeypatch)
    assert await SCHEMA.pin_documents([text]) == {}
    assert compiled == ["pinned", "messages", "nodes", "text"]
    for _ in range(3):
        await query_data(conversation(), text)
    assert len(compiled) == 4


def count_compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that gets the response names of each plan that is compiled from now on."""
    compiled: list[str] = []
    compile_plan = object_plan.ObjectPlan.compile

    def recorded(plan: object_plan.ObjectPlan) -> None:
        compile_plan(plan)
        if plan.compiled is not None:
            compiled.append(" ".join(field.name for field in plan._fields))

    monkeypatch.setattr(object_plan.ObjectPlan, "compile", recorded)
    return compiled
