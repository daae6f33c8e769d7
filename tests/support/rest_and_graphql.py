"""Each write or read as REST and as GraphQL, with results in the same plain form.

A test chooses one of the two at random and compares the result with a model that knows neither.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from schema.contract.keys import from_file_id
from tests.support.emulator import Emulator, running_emulator
from tests.support.gateway import Gateway, running_gateway

PlainObject: TypeAlias = dict[str, Any]
ResultT = TypeVar("ResultT")

REFUSALS = {
    # code of the user error: (status of REST, words of its message)
    "NOT_FOUND": (404, "No "),
    "ACTIVE_RUN": (400, "active"),
    "WRONG_STATE": (400, "status"),
    "MISSING_TOOL_OUTPUT": (400, "Expected tool outputs"),
    "INVALID_VALUE": (400, "Run creation requires"),
}
FIELDS = {
    "thread": "upstreamId metadata",
    "message": """upstreamId role metadata run { upstreamId } assistant { upstreamId } attachments { fileId tools }
        content { ... on TextContent { text } ... on ImageUrlContent { url detail } }""",
    "run": """upstreamId status metadata assistant { upstreamId } tools { ... on FunctionTool { name } }
        requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId } } }""",
    "assistant": "upstreamId name model instructions metadata tools { ... on FunctionTool { name } }",
}


@dataclass(frozen=True)
class Write:
    """A mutation with its input, and the method, path and body of the same write.

    `kind` is the kind of the returned object.

    A path starts after `/v1`.
    """

    mutation: str
    input: PlainObject
    method: str
    path: str
    body: PlainObject | None = None
    kind: str | None = None


def function(name: str) -> PlainObject:
    """Return a function tool without parameters, in the form that both spellings share."""
    return {"name": name, "parameters": {"type": "object", "properties": {}}}


def tools_sent(names: list[str]) -> tuple[list[PlainObject], list[PlainObject]]:
    """Return tools for GraphQL and for REST."""
    return [{"function": function(name)} for name in names], [
        {"type": "function", "function": function(name)} for name in names
    ]


@dataclass(frozen=True)
class NewMessage:
    """A message to send."""

    role: str
    texts: list[str]
    image: str | None
    files: list[str]
    metadata: dict[str, str]

    @property
    def graphql(self) -> PlainObject:
        content: list[PlainObject] = [{"text": text} for text in self.texts]
        if self.image is not None:
            content.append({"imageUrl": {"url": self.image, "detail": "LOW"}})
        attachments = [{"fileId": file, "tools": ["FILE_SEARCH"]} for file in self.files]
        return {
            "role": self.role.upper(),
            "content": content,
            "attachments": attachments,
            "metadata": self.metadata,
        }

    @property
    def rest(self) -> PlainObject:
        content: list[PlainObject] = [{"type": "text", "text": text} for text in self.texts]
        if self.image is not None:
            content.append({"type": "image_url", "image_url": {"url": self.image, "detail": "low"}})
        attachments = [{"file_id": file, "tools": [{"type": "file_search"}]} for file in self.files]
        # A single part may be a plain string.
        bare = content[0]["text"] if len(content) == 1 else content
        return {"role": self.role, "content": bare, "attachments": attachments, "metadata": self.metadata}

    def expected(self, message_id: str) -> PlainObject:
        """Return the message in the form of all results."""
        return {
            "id": message_id,
            "role": self.role,
            "content": [*self.texts, *([(self.image, "low")] if self.image is not None else [])],
            "files": [(file, ["file_search"]) for file in self.files],
            "metadata": self.metadata,
            "run_id": None,
            "assistant_id": None,
        }


def _thread_from_rest(got: Any) -> PlainObject:
    return {"id": got["id"], "metadata": got["metadata"]}


def _message_from_rest(got: Any) -> PlainObject:
    parts = [
        part["text"]["value"] if part["type"] == "text" else (part["image_url"]["url"], part["image_url"]["detail"])
        for part in got["content"]
    ]
    same = {name: got[name] for name in ("id", "role", "metadata", "run_id", "assistant_id")} | {"content": parts}
    if "attachments" not in got:
        # The response to a modification has no attachments.
        return same
    return same | {"files": [(one["file_id"], [tool["type"] for tool in one["tools"]]) for one in got["attachments"]]}


def _run_from_rest(got: Any) -> PlainObject:
    action = got["required_action"]
    calls = [] if action is None else [call["id"] for call in action["submit_tool_outputs"]["tool_calls"]]
    tools = [tool["function"]["name"] for tool in got["tools"]]
    same = {name: got[name] for name in ("id", "status", "metadata", "assistant_id")}
    return same | {"calls": calls, "tools": tools}


def _assistant_from_rest(got: Any) -> PlainObject:
    same = {name: got[name] for name in ("id", "name", "model", "instructions", "metadata")}
    return same | {"tools": [tool["function"]["name"] for tool in got["tools"]]}


def _thread_from_graphql(got: Any) -> PlainObject:
    return {"id": got["upstreamId"], "metadata": got["metadata"]}


def _message_from_graphql(got: Any) -> PlainObject:
    parts = [part["text"] if "text" in part else (part["url"], part["detail"].lower()) for part in got["content"]]
    return {
        "id": got["upstreamId"],
        "role": got["role"].lower(),
        "metadata": got["metadata"],
        "run_id": _upstream_id(got["run"]),
        "assistant_id": _upstream_id(got["assistant"]),
        "content": parts,
        "files": [(from_file_id(one["fileId"]), [tool.lower() for tool in one["tools"]]) for one in got["attachments"]],
    }


def _upstream_id(reference: Any) -> Any:
    return None if reference is None else reference["upstreamId"]


def _run_from_graphql(got: Any) -> PlainObject:
    action = got["requiredAction"]
    return {
        "id": got["upstreamId"],
        "status": got["status"].lower(),
        "metadata": got["metadata"],
        "assistant_id": _upstream_id(got["assistant"]),
        "calls": [] if action is None else [call["callId"] for call in action["toolCalls"]],
        "tools": [tool["name"] for tool in got["tools"]],
    }


def _assistant_from_graphql(got: Any) -> PlainObject:
    same = {name: got[name] for name in ("name", "model", "instructions", "metadata")}
    return same | {"id": got["upstreamId"], "tools": [tool["name"] for tool in got["tools"]]}


_FROM_REST: dict[str, Callable[[Any], PlainObject]] = {
    "thread": _thread_from_rest,
    "message": _message_from_rest,
    "run": _run_from_rest,
    "assistant": _assistant_from_rest,
}
_FROM_GRAPHQL: dict[str, Callable[[Any], PlainObject]] = {
    "thread": _thread_from_graphql,
    "message": _message_from_graphql,
    "run": _run_from_graphql,
    "assistant": _assistant_from_graphql,
}


@dataclass
class RestAndGraphQL:
    """A running emulator and a gateway over it, on an event loop of their own. `key` chooses whose data they show."""

    key: str = "nobody"
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.emulator, self.gateway = self._runner.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            left = self._runner.run(self._stop())
        finally:
            self._runner.__exit__(kind, error, trace)
        assert left == [], f"tasks left behind: {left}"

    async def _start(self) -> tuple[Emulator, Gateway]:
        emulator = await self._stack.enter_async_context(running_emulator())
        return emulator, await self._stack.enter_async_context(running_gateway(emulator.url))

    async def _stop(self) -> list[asyncio.Task[Any]]:
        await self._stack.aclose()
        for _ in range(3):
            await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        async def bounded() -> ResultT:
            async with asyncio.timeout(20):
                return await work

        return self._runner.run(bounded())

    def write(self, write: Write, *, by_rest: bool, refused: str | None = None) -> PlainObject:
        """Send a write and return its result. If `refused` is set, the write must fail with that code."""
        return self._write_by_rest(write, refused) if by_rest else self._write_by_graphql(write, refused)

    def _write_by_rest(self, write: Write, refused: str | None) -> PlainObject:
        status, got = self.rest(write.method, write.path, write.body)
        if refused is not None:
            expected, words = REFUSALS[refused]
            assert status == expected, (refused, status, got)
            assert words in got["error"]["message"], (refused, got)
            return {}
        assert status == 200, got
        if write.kind == "run":
            return {**_run_from_rest(got), "thread_id": got["thread_id"]}
        return {} if write.kind is None else _FROM_REST[write.kind](got)

    def _write_by_graphql(self, write: Write, refused: str | None) -> PlainObject:
        fields = "deletedId" if write.kind is None else f"{write.kind} {{ {FIELDS[write.kind]} }}"
        if write.kind == "run":
            fields = f"run {{ {FIELDS['run']} thread {{ upstreamId }} }}"
        type_name = write.mutation[0].upper() + write.mutation[1:]
        query = f"""mutation ($input: {type_name}Input!) {{
            {write.mutation}(input: $input) {{ {fields} userErrors {{ code message field }} }} }}"""
        payload = self.graphql(query, input=write.input)[write.mutation]
        if refused is not None:
            assert [error["code"] for error in payload["userErrors"]] == [refused], payload
            assert payload[write.kind or "deletedId"] is None
            return {}
        assert payload["userErrors"] == []
        if write.kind is None:
            assert payload["deletedId"]
            return {}
        got = payload[write.kind]
        shown = _FROM_GRAPHQL[write.kind](got)
        return {**shown, "thread_id": got["thread"]["upstreamId"]} if write.kind == "run" else shown

    def rest(self, method: str, path: str, body: PlainObject | None = None) -> tuple[int, Any]:
        """Return the status and the body of any response."""

        async def ask() -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {self.key}", "OpenAI-Beta": "assistants=v2"}
            async with self.emulator.session.request(
                method, self.emulator.url + path, headers=headers, json=body
            ) as reply:
                return reply.status, await reply.json()

        return self.run(ask())

    def graphql(self, query: str, **variables: Any) -> Any:
        """Return the data of an operation that must not fail."""
        headers = {"Authorization": f"Bearer {self.key}"}
        reply = self.run(self.gateway.execute(query, variables, headers=headers))
        assert "errors" not in reply, reply["errors"]
        return reply["data"]

    def get_by_rest(self, kind: str, path: str) -> PlainObject | None:
        """Return one object, or None if it does not exist."""
        status, got = self.rest("GET", path)
        assert status in {200, 404}, got
        return _FROM_REST[kind](got) if status == 200 else None

    def get_by_graphql(self, kind: str, global_id: str, *, by_node: bool) -> PlainObject | None:
        """Return one object, by its own field or by `node`, or None if it does not exist."""
        type_name = kind.capitalize()
        lookup = f"node(id: $id) {{ ... on {type_name} {{" if by_node else f"{kind}(id: $id) {{ ... on {type_name} {{"
        found = self.graphql(f"query ($id: ID!) {{ found: {lookup} {FIELDS[kind]} }} }} }}", id=global_id)["found"]
        return None if found is None else _FROM_GRAPHQL[kind](found)

    def list_objects(
        self,
        kind: str,
        thread_id: str | None,
        *,
        by_rest: bool,
        size: int = 100,
        backwards: bool = False,
        run_id: str | None = None,
    ) -> list[PlainObject]:
        """Return a complete list, oldest first, read page by page from one of its ends.

        Without a thread, it is a list of the root.
        """
        if by_rest:
            path = f"/{kind}s" if thread_id is None else f"/threads/{thread_id}/{kind}s"
            return self._list_by_rest(kind, path, size, backwards=backwards, run_id=run_id)
        return self._list_by_graphql(kind, thread_id, size, backwards=backwards, run_id=run_id)

    def _list_by_rest(
        self, kind: str, path: str, size: int, *, backwards: bool, run_id: str | None
    ) -> list[PlainObject]:
        found: list[PlainObject] = []
        options = {"limit": str(size), "order": "desc" if backwards else "asc"}
        if run_id is not None:
            options["run_id"] = run_id
        while True:
            _, page = self.rest("GET", f"{path}?{'&'.join(f'{name}={value}' for name, value in options.items())}")
            found += [_FROM_REST[kind](one) for one in page["data"]]
            if not page["has_more"]:
                return found[::-1] if backwards else found
            options["after"] = page["last_id"]

    def _list_by_graphql(
        self, kind: str, thread_id: str | None, size: int, *, backwards: bool, run_id: str | None
    ) -> list[PlainObject]:
        count, bound, onwards, end = (
            ("last", "before", "hasPreviousPage", "startCursor")
            if backwards
            else ("first", "after", "hasNextPage", "endCursor")
        )
        extra = "" if run_id is None else f', runId: "{run_id}"'
        connection = (
            f"{kind}s({count}: $size, {bound}: $at{extra}) "
            f"{{ nodes {{ {FIELDS[kind]} }} pageInfo {{ {onwards} {end} }} }}"
        )
        query = f"query ($size: Int!, $at: String) {{ {connection} }}"
        if thread_id is not None:
            query = f"query ($id: ID!, $size: Int!, $at: String) {{ thread(id: $id) {{ {connection} }} }}"
        variables: PlainObject = {"size": size, "at": None} | ({} if thread_id is None else {"id": thread_id})
        found: list[PlainObject] = []
        while True:
            data = self.graphql(query, **variables)
            page = (data if thread_id is None else data["thread"])[f"{kind}s"]
            nodes = [_FROM_GRAPHQL[kind](node) for node in page["nodes"]]
            found = [*nodes, *found] if backwards else [*found, *nodes]
            if not page["pageInfo"][onwards]:
                return found
            variables["at"] = page["pageInfo"][end]
