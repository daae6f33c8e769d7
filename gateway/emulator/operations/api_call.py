"""The call of an operation: one request to the API, parsed as far as all operations need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, TypeVar

from gateway.emulator.bodies.api_errors import attached_file_missing, wrong_prefix
from gateway.emulator.bodies.fields import Body, file_references
from gateway.emulator.bodies.parse import parse_body
from gateway.emulator.ids import has_prefix
from gateway.emulator.objects import ApiVersion, Run, ServerKind
from gateway.emulator.state.store import Store

_PATH_PREFIXES = {
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "step_id": "step",
    "assistant_id": "asst",
    "conversation_id": "conv",
    "response_id": "resp",
}
AnyBody = TypeVar("AnyBody", bound=Body)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form. Only a file has a name, and its content may lie on the disk."""

    content: IO[bytes]
    size: int
    filename: str | None = None

    def to_text(self) -> str:
        """Return the content as text."""
        return self.content.read().decode(errors="replace")


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to the API, and the store that it works on.

    Attributes:
        partition: The data of the request's key.
        now: The time of the request in unix seconds.
        form: The fields of a form, if the operation takes one and the body is one.
        server: The kind of server that the request was sent to.
        has_model: Whether a model can answer runs.
        origin: The address that the request was sent to, as in `http://127.0.0.1:8001`.
        ignores_locks: Whether a conversation may have two responses at once, as on some servers.
        runs_for_model: Runs that a model has to answer. They are enqueued after the transaction.
        changed_threads: Threads, or what stands for them, whose streams have to read their timelines again.
    """

    store: Store
    partition: str
    version: ApiVersion
    now: float
    path: Mapping[str, str]
    query: Mapping[str, str]
    includes: frozenset[str]
    body: bytes
    form: Mapping[str, FormField] | None = None
    server: ServerKind = "openai"
    has_model: bool = False
    origin: str = "http://127.0.0.1:8001"
    ignores_locks: bool = False
    runs_for_model: list[Run] = field(default_factory=list)
    changed_threads: list[str] = field(default_factory=list)

    def path_id(self, name: str) -> str:
        """Return an id of the path.

        Raises:
            ApiError: The id is of another kind.
        """
        return checked_id(name, self.path[name], _PATH_PREFIXES[name])

    def parse_body(self, model: type[AnyBody]) -> AnyBody:
        """Return the body as its model.

        Raises:
            ApiError: The body is invalid, or attaches a file that does not exist.
        """
        body = parse_body(model, self.body)
        for param, file_id in file_references(body.model_dump(exclude_none=True)):
            checked_id(param, file_id, "file")
            if self.store.files.get(self.partition, file_id) is None:
                raise attached_file_missing(param, file_id)
        return body

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
