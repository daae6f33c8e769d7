"""A clock that every request moves on, so that a client which polls sees a run end without anybody waiting."""

from gateway.emulator.clock import ManualClock


class SteppingClock(ManualClock):
    """Shows, each time it is asked, `step_seconds` more than the time before; the emulator asks once a request."""

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self._step_seconds = step_seconds

    def now(self) -> float:
        self.advance(self._step_seconds)
        return super().now()
