import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.model.chunks import CallPiece, Chunk, ChunkReader, chunk_from_json, chunk_from_whole_answer
from gateway.emulator.model.failures import ModelFailedError
from gateway.emulator.objects import Usage
from tests.gateway.emulator.model.chat_server import DONE, call, chunk, completion, finish, frame, usage, words

STREAM = b"".join(
    [
        b": keep-alive\r\n\r\n",
        frame(words("Grüße ")[0]),
        frame(words("🦩")[0]).replace(b"\n", b"\r\n"),
        b"event: x\nid: 1\n" + frame(call(0, "{", id="c", name="f")),
        frame(finish()),
        frame(usage(3, 4)),
        DONE,
        frame(words("after the end")[0]),
    ]
)
CHUNKS = (
    Chunk(text="Grüße "),
    Chunk(text="🦩"),
    Chunk(calls=(CallPiece(0, "c", "f", "{"),)),
    Chunk(finish_reason="stop"),
    Chunk(usage=Usage(3, 4)),
)


def read(*pieces: bytes) -> tuple[Chunk, ...]:
    reader = ChunkReader()
    chunks = [chunk for piece in pieces for chunk in reader.feed(piece)]
    return (*chunks, *reader.finish())


def encoded(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def test_a_stream_is_read_whole_and_byte_by_byte() -> None:
    assert read(STREAM) == CHUNKS
    assert read(*(STREAM[place : place + 1] for place in range(len(STREAM)))) == CHUNKS


@given(st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_it_does_not_matter_where_a_stream_is_split(places: list[int]) -> None:
    ends = [0, *sorted(places), len(STREAM)]
    assert read(*(STREAM[start:stop] for start, stop in pairwise(ends))) == CHUNKS


def test_a_stream_may_end_without_its_last_event_once_the_answer_is_finished() -> None:
    assert read(frame(finish())) == (Chunk(finish_reason="stop"),)
    assert read(frame(finish()).rstrip()) == (Chunk(finish_reason="stop"),)


@pytest.mark.parametrize("stream", [b"", frame(words("Hel")[0]), frame(words("Hel")[0])[:-9], b"data: [DO"])
def test_a_stream_without_an_end_is_cut_off(stream: bytes) -> None:
    with pytest.raises(ModelFailedError, match="broke off"):
        read(stream)


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"\xff", b'{"choices": 1}', b'{"choices": [{"delta": {"content": 5}}]}', b'{"error": ' + b"[" * 5000],
)
def test_data_that_is_no_chunk_is_unreadable(data: bytes) -> None:
    with pytest.raises(ModelFailedError, match="could not be read"):
        read(b"data: " + data + b"\n\n")


LINE_ENDS = (b"\n", b"\r\n", b"\r")


@pytest.mark.parametrize("end", LINE_ENDS, ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_every_line_end_and_a_byte_order_mark_are_read_however_they_are_split(mark: bytes, end: bytes) -> None:
    stream = mark + STREAM.replace(b"\r\n", b"\n").removeprefix(b": keep-alive\n\n").replace(b"\n", end)
    assert read(stream) == CHUNKS
    assert read(*(stream[place : place + 1] for place in range(len(stream)))) == CHUNKS
    assert read(stream[:2], stream[2:]) == CHUNKS


def test_an_event_is_read_as_soon_as_its_last_carriage_return_has_come() -> None:
    reader = ChunkReader()
    assert reader.feed(frame(words("Hel")[0]).replace(b"\n", b"\r")) == (Chunk("Hel"),)
    assert reader.feed(b"\n" + frame(finish())) == (Chunk(finish_reason="stop"),)


def test_a_whole_answer_may_begin_with_a_byte_order_mark() -> None:
    assert chunk_from_whole_answer(b"\xef\xbb\xbf" + encoded(completion({"content": "Hi"}))).text == "Hi"


def test_empty_data_is_a_sign_of_life() -> None:
    assert read(b"data\n\ndata:\n\n", frame(finish())) == (Chunk(finish_reason="stop"),)


ERRORS = [
    b'data: {"object": "error", "message": "out of memory", "code": 500}\n\n',
    b'data: {"type": "error", "code": 500}\n\n',
    b'data: {"message": "out of memory"}\n\n',
    b'data: {"detail": "out of memory"}\n\n',
    b'data: {"detail": [{"msg": "out of memory"}]}\n\n',
    b'data: {"errors": ["out of memory"]}\n\n',
    b'data: {"error": "out of memory"}\n\n',
    b'data: {"error": "out of memory", "choices": [{"delta": {"content": ""}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": ""}, "error": {"code": 502}}]}\n\n',
    b"event: error\ndata: out of memory\n\n",
    b'event: error\ndata: {"code": 500}\n\n',
    b"event:error\n\n",
    b"event: error\ndata: [DONE]\n\n",
    b'{"error": {"message": "out of memory"}}\n',
    b'{"detail": "out of memory"}\n\n',
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("reason", [None, "stop"])
def test_an_error_in_any_form_before_the_end_fails_the_answer(error: bytes, reason: str | None) -> None:
    reader = ChunkReader()
    chunks = reader.feed(frame(words("Hel")[0]) + frame(chunk(reason, content="lo")) + error + DONE)
    assert [one.text for one in chunks] == ["Hel", "lo"]
    with pytest.raises(ModelFailedError, match="in the middle of its answer"):
        reader.finish()


@pytest.mark.parametrize("error", [error for error in ERRORS if error.startswith(b"data: ")])
def test_an_answer_that_is_only_an_error_fails(error: bytes) -> None:
    with pytest.raises(ModelFailedError, match="in the middle of its answer"):
        chunk_from_whole_answer(error.removeprefix(b"data: "))


@pytest.mark.parametrize("error", [None, False, ""])
def test_an_empty_error_beside_a_choice_is_none(error: Any) -> None:
    assert chunk_from_json(encoded({"error": error, "choices": [{"delta": {"content": "Hi"}, "error": error}]})) == (
        Chunk("Hi")
    )


@pytest.mark.parametrize("reason", [None, "", " ", "null", "None", "undefined", False, 0, {}])
def test_a_reason_in_every_chunk_that_is_none_does_not_end_the_answer(reason: Any) -> None:
    pieces = [*words("Hel", "lo"), call(0, '{"x"', id="c", name="f")]
    for piece in pieces:
        piece["choices"][0]["finish_reason"] = reason
    with pytest.raises(ModelFailedError, match="broke off"):
        read(*(frame(piece) for piece in pieces))


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        *((reason, "error") for reason in ("error", "ERROR", "network_error", "abort", "cancelled", "timeout")),
        *((reason, "error") for reason in ("insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "failed")),
        *((reason, "length") for reason in ("length", "model_length", "MAX_TOKENS", "max_output_tokens")),
        *((reason, "content_filter") for reason in ("content_filter", "SAFETY", "sensitive", "PROHIBITED_CONTENT")),
        *((reason, reason) for reason in ("stop", "STOP", "tool_calls", "end_turn", "eos", "stop_sequence")),
    ],
)
def test_the_reasons_of_compatible_servers_count_by_their_words(reason: str, meaning: str) -> None:
    assert chunk_from_json(encoded(finish(reason))).finish_reason == meaning


@pytest.mark.parametrize(
    ("content", "text", "refusal"),
    [
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello", ""),
        ([{"text": "Hi"}], "Hi", ""),
        (["Hel", {"type": "output_text", "text": "lo"}], "Hello", ""),
        ([{"type": "text", "text": {"value": "Hi"}}], "Hi", ""),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}],
            "Hi",
            "",
        ),
        ([{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": None}, None, 5], "", ""),
        ([{"type": "refusal", "refusal": "No."}], "", "No."),
        ([], "", ""),
    ],
)
def test_content_may_be_a_list_of_parts(content: Any, text: str, refusal: str) -> None:
    for field in ("delta", "message"):
        assert chunk_from_json(encoded({"choices": [{field: {"content": content}}]})) == Chunk(text, refusal)


def test_the_older_function_call_is_a_call() -> None:
    answer = {"choices": [{"delta": {"function_call": {"name": "f", "arguments": "{}"}}}]}
    assert chunk_from_json(encoded(answer)).calls == (CallPiece(None, None, "f", "{}"),)


def test_calls_of_a_whole_answer_are_numbered_by_their_place() -> None:
    calls = [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}] * 2
    answer = completion({"content": None, "tool_calls": calls}, "tool_calls")
    assert [piece.index for piece in chunk_from_whole_answer(encoded(answer)).calls] == [0, 1]


def test_an_error_in_a_stream_is_reported_without_its_words() -> None:
    with pytest.raises(ModelFailedError) as failed:
        chunk_from_json(b'{"error": {"message": "at http://10.0.0.1 with sk-secret"}}')
    assert str(failed.value) == "The model failed in the middle of its answer."


def test_a_whole_answer_is_one_chunk() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = completion({"content": "Hi", "tool_calls": calls}, "tool_calls", usage={"prompt_tokens": 1})
    assert chunk_from_json(encoded(answer)) == Chunk(
        "Hi", "", (CallPiece(0, "c", "f", "{}"),), "tool_calls", Usage(1, 0)
    )


@pytest.mark.parametrize(
    ("answer", "chunk"),
    [
        ({}, Chunk()),
        ({"choices": None, "usage": None, "error": None}, Chunk()),
        ({"choices": [{"delta": None}]}, Chunk()),
        ({"choices": [{"delta": {"content": None, "refusal": "No.", "tool_calls": None}}]}, Chunk(refusal="No.")),
        ({"choices": [{"delta": {"tool_calls": [{"id": ""}]}}]}, Chunk(calls=(CallPiece(),))),
        (
            {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}]},
            Chunk(calls=(CallPiece(name="f", arguments='{"a":1}'),)),
        ),
        ({"choices": [{"delta": {"tool_calls": [{"index": 1.0}]}}]}, Chunk(calls=(CallPiece(1),))),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": None}}, Chunk(usage=Usage(0, 0))),
        ({"usage": {"prompt_tokens": 4.0, "completion_tokens": 2.0}}, Chunk(usage=Usage(4, 2))),
        ({"choices": [{"delta": {"content": "null"}}], "usage": {"prompt_tokens": 4.5}}, Chunk("null")),
        ({"usage": ["?"]}, Chunk()),
        ({"usage": {"prompt_tokens": "many"}}, Chunk()),
    ],
)
def test_differences_of_compatible_servers_are_accepted(answer: Any, chunk: Chunk) -> None:
    assert chunk_from_json(encoded(answer)) == chunk


@pytest.mark.parametrize("data", [b'{"ok": true}', b'{"choices": []}', b'{"choices": null}'])
def test_an_answer_without_a_choice_is_refused(data: bytes) -> None:
    with pytest.raises(ModelFailedError, match="could not be read"):
        chunk_from_whole_answer(data)
    with pytest.raises(ModelFailedError, match="could not be read"):
        read(b"data: " + data + b"\n\ndata: [DONE]\n\n")


def test_a_stream_with_only_an_end_is_refused() -> None:
    with pytest.raises(ModelFailedError, match="could not be read"):
        read(b"data: [DONE]\n\n")


@pytest.mark.parametrize("bad", [b"data: {\n\n", b'data: {"error": {}}\n\n'])
def test_chunks_before_a_failure_are_returned_and_none_after_it(bad: bytes) -> None:
    good = b"".join(frame(one) for one in words("Hel", "lo"))
    for pieces in ((good + bad + DONE,), (good + bad, DONE), (good, bad + DONE)):
        reader = ChunkReader()
        assert [chunk.text for piece in pieces for chunk in reader.feed(piece)] == ["Hel", "lo"]
        assert not reader.is_done
        with pytest.raises(ModelFailedError) as failed:
            reader.finish()
        assert failed.value is reader.failure
