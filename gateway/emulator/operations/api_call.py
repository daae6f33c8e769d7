"""The call of an operation: one request to the API, parsed as far as all operations need it."""

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
    """One request to the API, and the store that it works on.

    Attributes:
        partition: The data of the request's key.
        now: The time of the request in unix seconds.
        has_model: Whether a model can answer runs.
        runs_for_model: Runs that a model has to answer. They are enqueued after the transaction.
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
        """Return an id of the path.

        Raises:
            ApiError: The id is of another kind.
        """
        return checked_id(name, self.path[name], _PATH_PREFIXES[name])

    @property
    def whole_second(self) -> int:
        """Return the time of the request in whole unix seconds, as objects have it."""
        return int(self.now)


def checked_id(param: str, value: str, prefix: str) -> str:
    """Return the id if it has this prefix.

    Raises:
        ApiError: The id is of another kind.
    """
    if not has_prefix(value, prefix):
        raise wrong_prefix(param, value, prefix)
    return value
