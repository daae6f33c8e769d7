"""One request to the API, read so far as every operation needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.emulator.bodies.api_errors import wrong_prefix
from gateway.emulator.ids import has_prefix
from gateway.emulator.objects import ApiVersion, Run
from gateway.emulator.state.store import Store

_PATH_PREFIXES = {
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "step_id": "step",
    "assistant_id": "asst",
}


@dataclass(frozen=True, slots=True)
class ApiCall:
    """Who asks for what, when; ``partition`` stands for the key, ``now`` is in unix seconds.

    Runs that a model shall answer (``has_model``) are put into ``runs_for_model`` and taken up after the transaction.
    """

    store: Store
    partition: str
    version: ApiVersion
    now: float
    path: Mapping[str, str]
    query: Mapping[str, str]
    includes: frozenset[str]
    body: bytes
    has_model: bool = False
    runs_for_model: list[Run] = field(default_factory=list)

    def path_id(self, name: str) -> str:
        """Return an id of the path; refuse one of another kind."""
        return checked_id(name, self.path[name], _PATH_PREFIXES[name])

    @property
    def whole_second(self) -> int:
        """Return the present instant in whole unix seconds, as objects carry it."""
        return int(self.now)


def checked_id(param: str, value: str, prefix: str) -> str:
    """Return the id if it is of the kind that belongs there; refuse it otherwise."""
    if not has_prefix(value, prefix):
        raise wrong_prefix(param, value, prefix)
    return value
