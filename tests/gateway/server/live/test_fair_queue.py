import asyncio

from gateway.server.live.fair_queue import FairQueue


class Member:
    """Notes its queue, and comes again as often as it is told to."""

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


async def test_each_gets_its_turn_in_order_and_who_comes_again_stands_last() -> None:
    queue, log = FairQueue(), list[str]()
    for member in (Member(queue, "a", log, again=2), Member(queue, "b", log)):
        queue.enqueue(member)
    assert log == []
    await rounds(4)
    assert log == ["a", "b", "a", "a"]


async def test_the_loop_does_other_things_between_rounds() -> None:
    queue, log = FairQueue(members_per_round=2), list[str]()
    for name in "abcde":
        queue.enqueue(Member(queue, name, log))
    seen = []
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append("".join(log))
    assert seen[:3] == ["ab", "abcd", "abcde"]


async def test_who_is_sent_away_gets_no_turn() -> None:
    queue, log = FairQueue(), list[str]()
    queue.enqueue(Member(queue, "a", log))
    queue.clear()
    await rounds(2)
    queue.enqueue(Member(queue, "b", log))
    await rounds(2)
    assert log == ["b"]


async def test_all_may_be_sent_away_in_the_middle_of_a_round() -> None:
    queue = FairQueue()

    class Stopper:
        def run_slice(self) -> None:
            queue.clear()

    log = list[str]()
    for member in (Stopper(), Member(queue, "a", log)):
        queue.enqueue(member)
    await rounds(3)
    assert log == []


async def test_one_that_raises_takes_no_turn_from_the_others() -> None:
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
