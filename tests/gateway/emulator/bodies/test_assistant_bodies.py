import pytest
from pydantic import BaseModel, ValidationError

from gateway.emulator.bodies.assistant_bodies import (
    CreateAssistantV1,
    CreateAssistantV2,
    ModifyAssistantV1,
    ModifyAssistantV2,
)


@pytest.mark.parametrize("model", [CreateAssistantV1, CreateAssistantV2])
def test_a_new_assistant_needs_a_model(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json("{}")
    model.model_validate_json('{"model":"gpt-4o"}')


@pytest.mark.parametrize("model", [ModifyAssistantV1, ModifyAssistantV2])
def test_a_change_has_no_required_field_and_enforces_the_limits(model: type[BaseModel]) -> None:
    model.model_validate_json("{}")
    for body in ('{"name":"' + "x" * 257 + '"}', '{"description":"' + "x" * 513 + '"}'):
        with pytest.raises(ValidationError):
            model.model_validate_json(body)


def test_each_version_names_files_by_its_own_field() -> None:
    CreateAssistantV1.model_validate_json('{"model":"m","file_ids":["file-1"]}')
    with pytest.raises(ValidationError):
        CreateAssistantV2.model_validate_json('{"model":"m","file_ids":["file-1"]}')
    with pytest.raises(ValidationError):
        CreateAssistantV1.model_validate_json('{"model":"m","tool_resources":{}}')


@pytest.mark.parametrize(
    "field", ['"temperature":1', '"top_p":1', '"response_format":"auto"', '"reasoning_effort":"low"']
)
def test_version_1_has_no_sampling_and_no_format_of_assistants(field: str) -> None:
    for older, newer in ((CreateAssistantV1, CreateAssistantV2), (ModifyAssistantV1, ModifyAssistantV2)):
        newer.model_validate_json('{"model":"m",' + field + "}")
        with pytest.raises(ValidationError):
            older.model_validate_json('{"model":"m",' + field + "}")
