import json

from gateway.emulator.streams.sse_frame import DONE, frame


def test_an_event_is_a_name_one_line_of_compact_json_and_an_empty_line() -> None:
    assert frame("thread.created", {"a": 1, "b": [None, True]}) == (
        b'event: thread.created\ndata: {"a":1,"b":[null,true]}\n\n'
    )


def test_the_last_event_is_not_json() -> None:
    assert DONE == b"event: done\ndata: [DONE]\n\n"


def test_line_ends_within_texts_do_not_end_the_line() -> None:
    texts = ["a\nb", "a\r\nb", "\u2028", "日本"]
    head, data, *rest = frame("x", {"texts": texts}).split(b"\n")
    assert (head, rest) == (b"event: x", [b"", b""])
    assert json.loads(data.removeprefix(b"data: "))["texts"] == texts


def test_a_long_integer_that_a_client_gave_is_echoed() -> None:
    assert frame("x", {"maximum": 2**70}) == b'event: x\ndata: {"maximum":1180591620717411303424}\n\n'
