from gateway.server.live.sse_frames import COME_BACK, COMPLETE, HEARTBEAT, next_frame


def test_an_answer_has_its_cursor_where_it_has_one() -> None:
    assert next_frame(b'{"data":1}') == b'event: next\ndata: {"data":1}\n\n'
    assert next_frame(b'{"data":1}', "abc=") == b'event: next\nid: abc=\ndata: {"data":1}\n\n'


def test_each_frame_ends_with_an_empty_line_and_the_end_has_data() -> None:
    assert all(frame.endswith(b"\n\n") for frame in (COME_BACK, COMPLETE, HEARTBEAT))
    assert b"\ndata:" in COMPLETE
    assert HEARTBEAT.startswith(b":")
