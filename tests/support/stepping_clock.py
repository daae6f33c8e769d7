"""A clock that every request advances, so that a polling client sees a run end without waiting."""

from gateway.emulator.clock import ManualClock


class SteppingClock(ManualClock):
    """Advances by `step_seconds` each time it is read. The emulator reads it once per request."""

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self._step_seconds = step_seconds

    def now(self) -> float:
        self.advance(self._step_seconds)
        return super().now()
