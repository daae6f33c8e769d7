import pytest

from schema.graph.fallback_types import UnknownAnnotation, UnknownCodeInterpreterOutput
from schema.graph.leaf_types import (
    CodeInterpreterImage,
    CodeInterpreterLogs,
    CodeInterpreterToolCall,
    FileCitation,
    FilePath,
    FunctionToolCall,
    TextContent,
)
from schema.graph.scalars import JSON
from tests.support.wire_samples import raws

SPAN = {"text": "[0]", "start_index": 3, "end_index": 6}


def annotations(*sent: object) -> list[object]:
    return list(TextContent(text="", raw_annotations=raws(*sent)).annotations())


def outputs(*sent: object) -> list[object]:
    call = CodeInterpreterToolCall(call_id="call_1", input="", raw_outputs=raws(*sent))
    return list(call.outputs())


def parsed(arguments: str) -> object:
    call = FunctionToolCall(call_id="call_1", name="f", arguments=arguments, output=None)
    return call.parsed_arguments()


def test_annotations_of_known_kinds() -> None:
    citation = FileCitation(text="[0]", start_index=3, end_index=6, upstream_file_id="f", quote=None)
    assert annotations(
        {"type": "file_citation", **SPAN, "file_citation": {"file_id": "f"}},
        {"type": "file_path", **SPAN, "file_path": {"file_id": "f"}},
    ) == [citation, FilePath(text="[0]", start_index=3, end_index=6, upstream_file_id="f")]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "url_citation", "url_citation": {"url": "https://x.test"}},
        {"type": "file_citation", **SPAN},
        {"type": "file_citation", **SPAN, "file_citation": {"quote": "x"}},
    ],
)
def test_an_annotation_of_an_unknown_kind_or_shape_keeps_its_json(sent: dict[str, object]) -> None:
    assert annotations(sent) == [UnknownAnnotation(type=str(sent["type"]), raw=JSON(sent))]


def test_text_without_annotations_has_none() -> None:
    assert TextContent(text="", raw_annotations=None).annotations() == []


def test_outputs_of_code() -> None:
    unknown = {"type": "video", "video": 1}
    assert outputs(
        {"type": "logs", "logs": "1"}, {"type": "image", "image": {"file_id": "f"}}, unknown, {"type": "logs"}
    ) == [
        CodeInterpreterLogs(logs="1"),
        CodeInterpreterImage(upstream_file_id="f"),
        UnknownCodeInterpreterOutput(type="video", raw=JSON(unknown)),
        UnknownCodeInterpreterOutput(type="logs", raw=JSON({"type": "logs"})),
    ]


@pytest.mark.parametrize(("arguments", "value"), [('{"a": [1, null]}', {"a": [1, None]}), ("5", 5), ("null", None)])
def test_arguments_that_are_json_are_parsed(arguments: str, value: object) -> None:
    assert parsed(arguments) == value


@pytest.mark.parametrize("arguments", ["", "{", "{'a': 1}", '{"a": 1} x', "\ud800", "[" * 100_000, '{"a": 1e999}'])
def test_arguments_that_are_no_json_are_null(arguments: str) -> None:
    assert parsed(arguments) is None


def test_an_index_may_be_a_float() -> None:
    spans = {"type": "file_path", "start_index": 1.0, "end_index": 2.0, "file_path": {"file_id": "f"}}
    (path,) = TextContent(text="x", raw_annotations=raws(spans)).annotations()
    assert repr((path.start_index, path.end_index)) == "(1, 2)"
