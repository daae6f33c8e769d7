import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.model.chunks import CallPiece, Chunk, ChunkReader, chunk_from_json, chunk_from_whole_answer
from gateway.emulator.model.failures import ModelFailedError
from gateway.emulator.objects import Usage
from tests.gateway.emulator.model.chat_server import DONE, call, completion, finish, frame, usage, words

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


def test_an_error_in_a_stream_is_reported_without_its_words() -> None:
    with pytest.raises(ModelFailedError) as failed:
        chunk_from_json(b'{"error": {"message": "at http://10.0.0.1 with sk-secret"}}')
    assert str(failed.value) == "The model failed in the middle of its answer."


def test_a_whole_answer_is_one_chunk() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = completion({"content": "Hi", "tool_calls": calls}, "tool_calls", usage={"prompt_tokens": 1})
    assert chunk_from_json(encoded(answer)) == Chunk(
        "Hi", "", (CallPiece(None, "c", "f", "{}"),), "tool_calls", Usage(1, 0)
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


@pytest.mark.parametrize(
    "data", [b'{"ok": true}', b'{"choices": []}', b'{"detail": "no such model"}', b'{"choices": null}']
)
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
