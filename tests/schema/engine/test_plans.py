"""Plans are compiled once per position of a document, and serve every principal and all variables."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import parse

from schema.engine import plans as plans_module
from schema.engine.context import Context
from schema.engine.executor import CompiledExecutor
from schema.engine.plans import DocumentPlans
from tests.schema.builders import SCHEMA, conversation

CORE = SCHEMA._schema
DOCUMENT = """
    query ($id: ID!, $many: Int = 1, $more: Boolean = true, $loud: Boolean = false) {
        thread(id: $id) {
            id
            messages(first: $many) { nodes { text ...Who @include(if: $more) } }
            createdAt @skip(if: $loud)
        }
    }
    fragment Who on Message { role run { id } }
"""


class PlansOnly(CompiledExecutor):
    """An executor that fails if graphql-core has to execute a field."""

    def execute_field(self, *_: Any) -> Any:
        raise AssertionError("expected all fields to be executed by plans")


async def execute(plans: DocumentPlans, document: Any, variables: Mapping[str, Any]) -> Any:
    context = Context(conversation(3))
    executor = PlansOnly.build(CORE, document, context_value=context, raw_variable_values=dict(variables))
    assert isinstance(executor, PlansOnly)
    executor.plans = plans
    result: Any = executor.execute_operation()
    result = await result if executor.is_awaitable(result) else result
    await context.aclose()
    assert result.errors is None
    return result.data


async def test_a_plan_serves_all_values_of_variables() -> None:
    plans, document = DocumentPlans(), parse(DOCUMENT)
    first = await execute(plans, document, {"id": "thread_1", "many": 2})
    assert [node["text"] for node in first["thread"]["messages"]["nodes"]] == ["number 1", "number 2"]
    position_plans = plans.find_variant(make_executor(document, {"id": "thread_1"}))
    known = dict(position_plans)
    second = await execute(plans, document, {"id": "thread_2", "many": 3})
    assert second == {"thread": None}
    third = await execute(plans, document, {"id": "thread_1"})
    assert third["thread"]["messages"] == {"nodes": [{"text": "number 1", "role": "USER", "run": None}]}
    assert position_plans == known


async def test_each_set_of_conditions_has_its_own_plans() -> None:
    plans, document = DocumentPlans(), parse(DOCUMENT)
    for variables, fields in (
        ({}, {"id", "messages", "createdAt"}),
        ({"loud": True}, {"id", "messages"}),
        ({"loud": False, "more": False}, {"id", "messages", "createdAt"}),
        ({}, {"id", "messages", "createdAt"}),
    ):
        thread = (await execute(plans, document, {"id": "thread_1", **variables}))["thread"]
        assert set(thread) == fields
        assert ("role" in thread["messages"]["nodes"][0]) is variables.get("more", True)


async def test_two_operations_of_one_document_have_separate_plans() -> None:
    document = parse('query A { thread(id: "thread_1") { id } } query B { thread(id: "thread_1") { createdAt } }')
    plans = DocumentPlans()
    for name, field in (("A", "id"), ("B", "createdAt"), ("A", "id")):
        executor = PlansOnly.build(CORE, document, context_value=Context(conversation()), operation_name=name)
        assert isinstance(executor, PlansOnly)
        executor.plans = plans
        result: Any = executor.execute_operation()
        assert set((await result).data["thread"]) == {field}


def make_executor(document: Any, variables: Mapping[str, Any]) -> CompiledExecutor:
    executor = CompiledExecutor.build(CORE, document, raw_variable_values=dict(variables))
    assert isinstance(executor, CompiledExecutor)
    return executor


def test_the_number_of_condition_sets_is_limited() -> None:
    names = [f"c{number}" for number in range(5)]
    variables = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: __typename @skip(if: ${name})" for name in names)
    document, plans = parse(f"query ({variables}) {{ {fields} }}"), DocumentPlans()
    first = plans.find_variant(make_executor(document, dict.fromkeys(names, False)))
    for number in range(32):
        values = {name: bool(number >> bit & 1) for bit, name in enumerate(names)}
        position_plans = plans.find_variant(make_executor(document, values))
        assert plans.find_variant(make_executor(document, values)) is position_plans
        assert len(plans._variants) <= plans_module.MAX_VARIANTS
        # The most recently used set stays.
        assert plans.find_variant(make_executor(document, dict.fromkeys(names, False))) is first


async def test_a_document_measures_its_plans() -> None:
    plans = DocumentPlans()
    assert plans.size == 0
    await execute(plans, parse("{ upstream { version dialect } }"), {})
    small = plans.size
    assert small >= 3
    many = " ".join(f"f{number}: version" for number in range(50))
    await execute(plans, parse(f"{{ upstream {{ {many} }} }}"), {})
    assert plans.size >= small + 51
    plans.clear()
    assert plans.size == 0


async def test_an_operation_over_the_limit_has_no_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans_module, "MAX_FIELDS", 5)
    plans, document = DocumentPlans(), parse("{ upstream { version dialect streaming listsThreads messageFiles } }")
    for _ in range(2):
        executor = CompiledExecutor.build(CORE, document, context_value=Context(conversation()))
        assert isinstance(executor, CompiledExecutor)
        executor.plans = plans
        result: Any = executor.execute_operation()
        assert result.errors is None
        assert len(result.data["upstream"]) == 5
        assert plans.size == 0


def test_a_field_without_a_direct_call_has_no_plan() -> None:
    executor = make_executor(parse("{ __schema { queryType { name } } __typename }"), {})
    result: Any = executor.execute_operation()
    assert result.errors is None
    assert result.data["__typename"] == "Query"
