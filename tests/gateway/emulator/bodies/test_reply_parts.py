from gateway.emulator.bodies.reply_parts import render_content_part, render_tool_call
from gateway.emulator.objects import (
    CodeCall,
    CodeImage,
    CodeLogs,
    FileCitation,
    FilePath,
    FunctionCall,
    ImageFilePart,
    ImageUrlPart,
    RefusalPart,
    SearchCall,
    SearchResult,
    TextPart,
)

CITATION = FileCitation(text="【0】", start_index=0, end_index=3, file_id="file-1", quote="q")
SEARCH = SearchCall(id="call_1", results=(SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="t"),))


def test_a_citation_has_a_quote_in_the_older_version_only() -> None:
    part = TextPart(value="【0】", annotations=(CITATION,))
    older, newer = render_content_part(part, "v1"), render_content_part(part, "v2")
    assert older["text"]["annotations"][0]["file_citation"] == {"file_id": "file-1", "quote": "q"}
    assert newer["text"]["annotations"][0] == {
        "type": "file_citation",
        "text": "【0】",
        "start_index": 0,
        "end_index": 3,
        "file_citation": {"file_id": "file-1"},
    }


def test_a_path_is_an_annotation() -> None:
    path = FilePath(text="sandbox:/x", start_index=0, end_index=10, file_id="file-1")
    rendered = render_content_part(TextPart(value="sandbox:/x", annotations=(path,)), "v2")
    assert rendered["text"]["annotations"][0]["file_path"] == {"file_id": "file-1"}


def test_the_older_version_knows_text_and_image_files_only() -> None:
    parts = (ImageFilePart(file_id="file-1"), ImageUrlPart(url="https://x"), RefusalPart(refusal="no"))
    assert [render_content_part(part, "v2")["type"] for part in parts] == ["image_file", "image_url", "refusal"]
    assert [render_content_part(part, "v1")["type"] for part in parts] == ["image_file", "text", "text"]
    assert render_content_part(parts[0], "v1")["image_file"] == {"file_id": "file-1"}
    assert render_content_part(parts[1], "v1")["text"]["value"] == "https://x"


def test_tool_calls_show_their_input_and_output() -> None:
    function = FunctionCall(id="call_1", name="f", arguments="{}", output="1")
    code = CodeCall(id="call_2", input="x", outputs=(CodeLogs(logs="1"), CodeImage(file_id="file-1")))
    assert render_tool_call(function, "v2", with_search_content=False)["function"] == {
        "name": "f",
        "arguments": "{}",
        "output": "1",
    }
    assert render_tool_call(code, "v2", with_search_content=False)["code_interpreter"] == {
        "input": "x",
        "outputs": [{"type": "logs", "logs": "1"}, {"type": "image", "image": {"file_id": "file-1"}}],
    }


def test_a_search_shows_the_text_of_results_only_on_request() -> None:
    assert render_tool_call(SEARCH, "v1", with_search_content=True) == {
        "id": "call_1",
        "type": "retrieval",
        "retrieval": {},
    }
    brief = render_tool_call(SEARCH, "v2", with_search_content=False)["file_search"]["results"]
    whole = render_tool_call(SEARCH, "v2", with_search_content=True)["file_search"]["results"]
    assert brief == [{"file_id": "file-1", "file_name": "a.md", "score": 0.5, "attributes": {}}]
    assert whole[0]["content"] == [{"type": "text", "text": "t"}]
