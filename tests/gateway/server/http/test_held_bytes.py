from gateway.server.http.held_bytes import UnfinishedBytes, UnreadBytes


class FakeClient:
    """A client that notes that it was let go."""

    def __init__(self) -> None:
        self.is_let_go = False

    def let_go(self) -> None:
        self.is_let_go = True


def test_unfinished_bytes_are_held_up_to_the_limit() -> None:
    unfinished = UnfinishedBytes(10)
    assert unfinished.hold(10)
    assert not unfinished.hold(1)
    unfinished.release(4)
    assert unfinished.hold(4)
    assert unfinished.held_bytes == 10


def test_the_clients_that_have_read_nothing_for_longest_are_let_go_when_too_much_waits() -> None:
    unread, clients = UnreadBytes(100), [FakeClient() for _ in range(4)]
    for client in clients[:3]:
        unread.record(client, 30, is_reading=True)
    unread.record(clients[0], 25, is_reading=True)
    unread.record(clients[3], 70, is_reading=True)
    assert [client.is_let_go for client in clients] == [False, True, True, False]
    assert unread.waiting_bytes == 95
    unread.remove(clients[1])
    unread.remove(clients[3])
    assert unread.waiting_bytes == 25


def test_more_bytes_that_wait_do_not_make_a_client_younger() -> None:
    unread, clients = UnreadBytes(100), [FakeClient() for _ in range(2)]
    unread.record(clients[0], 10, is_reading=True)
    unread.record(clients[1], 50, is_reading=True)
    unread.record(clients[0], 60, is_reading=False)
    assert [client.is_let_go for client in clients] == [True, False]


def test_a_client_alone_may_exceed_the_limit() -> None:
    unread, client = UnreadBytes(100), FakeClient()
    unread.record(client, 500, is_reading=True)
    assert not client.is_let_go
