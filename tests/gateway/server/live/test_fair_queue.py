import asyncio

from gateway.server.live.fair_queue import FairQueue


class Member:
    """Logs each slice, and rejoins the queue `again` times."""

    def __init__(self, queue: FairQueue, name: str, log: list[str], again: int = 0) -> None:
        self.queue, self.name, self.log, self.again = queue, name, log, again

    def run_slice(self) -> None:
        self.log.append(self.name)
        if self.again:
            self.again -= 1
            self.queue.enqueue(self)


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_members_run_in_order_and_rejoin_at_the_end() -> None:
    queue, log = FairQueue(), list[str]()
    for member in (Member(queue, "a", log, again=2), Member(queue, "b", log)):
        queue.enqueue(member)
    assert log == []
    await rounds(4)
    assert log == ["a", "b", "a", "a"]


async def test_the_loop_runs_other_tasks_between_rounds() -> None:
    queue, log = FairQueue(members_per_round=2), list[str]()
    for name in "abcde":
        queue.enqueue(Member(queue, name, log))
    seen = []
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append("".join(log))
    assert seen[:3] == ["ab", "abcd", "abcde"]


async def test_cleared_members_do_not_run() -> None:
    queue, log = FairQueue(), list[str]()
    queue.enqueue(Member(queue, "a", log))
    queue.clear()
    await rounds(2)
    queue.enqueue(Member(queue, "b", log))
    await rounds(2)
    assert log == ["b"]


async def test_a_member_may_clear_the_queue_in_the_middle_of_a_round() -> None:
    queue = FairQueue()

    class Stopper:
        def run_slice(self) -> None:
            queue.clear()

    log = list[str]()
    for member in (Stopper(), Member(queue, "a", log)):
        queue.enqueue(member)
    await rounds(3)
    assert log == []


async def test_a_member_that_raises_does_not_stop_the_others() -> None:
    queue, log, raised = FairQueue(), list[str](), list[BaseException]()
    asyncio.get_running_loop().set_exception_handler(lambda _, about: raised.append(about["exception"]))

    class Broken:
        def run_slice(self) -> None:
            raise ValueError("broken")

    for member in (Broken(), Member(queue, "a", log)):
        queue.enqueue(member)
    await rounds(3)
    queue.enqueue(Member(queue, "b", log))
    await rounds(2)
    assert (log, [str(error) for error in raised]) == (["a", "b"], ["broken"])
