import pytest
from pydantic import BaseModel, ValidationError

from gateway.emulator.bodies.run_bodies import RunV1, RunV2, SubmitToolOutputs, ThreadAndRunV1, ThreadAndRunV2


@pytest.mark.parametrize("model", [RunV1, RunV2, ThreadAndRunV1, ThreadAndRunV2])
def test_a_run_requires_only_an_assistant(model: type[BaseModel]) -> None:
    assert model.model_validate_json('{"assistant_id":"asst_1"}').model_dump()["assistant_id"] == "asst_1"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (RunV1, '"parallel_tool_calls":true'),
        (RunV1, '"tools":[{"type":"file_search"}]'),
        (RunV1, '"response_format":{"type":"json_schema","json_schema":{"name":"s"}}'),
        (ThreadAndRunV1, '"response_format":{"type":"json_schema","json_schema":{"name":"s"}}'),
        (RunV2, '"tools":[{"type":"retrieval"}]'),
        (RunV1, '"tool_choice":{"type":"file_search"}'),
        (RunV2, '"tool_choice":{"type":"retrieval"}'),
        (RunV2, '"thread":{}'),
        (ThreadAndRunV2, '"additional_messages":[]'),
        (ThreadAndRunV1, '"tool_resources":{}'),
    ],
)
def test_fields_of_another_version_or_request_are_refused(model: type[BaseModel], field: str) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json('{"assistant_id":"asst_1",' + field + "}")


def test_an_omitted_output_is_empty() -> None:
    body = SubmitToolOutputs.model_validate_json('{"tool_outputs":[{"tool_call_id":"call_1"}]}')
    assert body.tool_outputs[0].output == ""


@pytest.mark.parametrize("model", [RunV2, ThreadAndRunV2])
def test_version_2_takes_a_json_schema(model: type[BaseModel]) -> None:
    schema = '{"type":"json_schema","json_schema":{"name":"s","schema":{}}}'
    model.model_validate_json('{"assistant_id":"asst_1","response_format":' + schema + "}")


def test_version_1_chooses_retrieval_which_is_stored_under_its_later_name() -> None:
    body = RunV1.model_validate_json('{"assistant_id":"asst_1","tool_choice":{"type":"retrieval"}}')
    assert body.model_dump()["tool_choice"] == {"type": "file_search"}
