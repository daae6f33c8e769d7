import asyncio

from gateway.server.live.fair_queue import FairQueue


class Player:
    """Notes its turns, and comes again as often as it is told to."""

    def __init__(self, turns: FairQueue, name: str, log: list[str], again: int = 0) -> None:
        self.turns, self.name, self.log, self.again = turns, name, log, again

    def take_turn(self) -> None:
        self.log.append(self.name)
        if self.again:
            self.again -= 1
            self.turns.add(self)


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_each_gets_its_turn_in_order_and_who_comes_again_stands_last() -> None:
    turns, log = FairQueue(), list[str]()
    for player in (Player(turns, "a", log, again=2), Player(turns, "b", log)):
        turns.add(player)
    assert log == []
    await rounds(4)
    assert log == ["a", "b", "a", "a"]


async def test_the_loop_does_other_things_between_rounds() -> None:
    turns, log = FairQueue(per_round=2), list[str]()
    for name in "abcde":
        turns.add(Player(turns, name, log))
    seen = []
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append("".join(log))
    assert seen[:3] == ["ab", "abcd", "abcde"]


async def test_who_is_sent_away_gets_no_turn() -> None:
    turns, log = FairQueue(), list[str]()
    turns.add(Player(turns, "a", log))
    turns.stop()
    await rounds(2)
    turns.add(Player(turns, "b", log))
    await rounds(2)
    assert log == ["b"]


async def test_all_may_be_sent_away_in_the_middle_of_a_round() -> None:
    turns = FairQueue()

    class Stopper:
        def take_turn(self) -> None:
            turns.stop()

    log = list[str]()
    for player in (Stopper(), Player(turns, "a", log)):
        turns.add(player)
    await rounds(3)
    assert log == []


async def test_one_that_raises_takes_no_turn_from_the_others() -> None:
    turns, log, raised = FairQueue(), list[str](), list[BaseException]()
    asyncio.get_running_loop().set_exception_handler(lambda _, about: raised.append(about["exception"]))

    class Broken:
        def take_turn(self) -> None:
            raise ValueError("broken")

    for player in (Broken(), Player(turns, "a", log)):
        turns.add(player)
    await rounds(3)
    turns.add(Player(turns, "b", log))
    await rounds(2)
    assert (log, [str(error) for error in raised]) == (["a", "b"], ["broken"])
