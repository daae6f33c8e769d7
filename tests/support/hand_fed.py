"""A feed whose log is written by hand."""

from gateway.events.feed import Feed
from gateway.events.lane import Lane, LaneBounds, Reader
from gateway.events.log.memory import MemoryLog
from gateway.events.log.port import LogName
from gateway.events.run_state import RunState
from schema.run_events import SnapshotChange
from tests.support.live_runs import RUN, SCOPE, FrailLog, World, a_run

NAME = LogName(SCOPE, RUN)
BEGINNING = SnapshotChange(a_run("queued"), [], [])


class HandFed:
    """A feed with one lane, over a store of its own."""

    def __init__(self, world: World) -> None:
        self.log = FrailLog(world.log)
        self.left: list[Feed] = []
        self.state = RunState()
        self.feed = Feed(
            NAME,
            self.log,
            self.state,
            local_log=lambda: MemoryLog(now=world.clock.now, now_seconds=world.clock.now),
            now_seconds=world.clock.now,
            on_leave=self._leave,
        )
        self.lane = Lane(self.feed, LaneBounds(), self.state.baseline, begins_with_snapshot=True)
        self.feed.add_lane(self.lane, lambda _: True)

    async def _leave(self, feed: Feed) -> None:
        self.left.append(feed)

    def reader(self) -> Reader:
        reader = Reader(self.lane)
        reader.start()
        return reader
