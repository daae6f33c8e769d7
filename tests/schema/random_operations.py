"""Random valid operations, and random data behind the port to execute them on."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import (
    AssistantKey,
    FileKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
    to_global_id,
)
from schema.contract.paging import CursorScope
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
    StepChange,
)
from tests.support.fake_content_urls import FakeContentUrls
from tests.support.fake_threads_api import V1, V2, FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import assistant, file, message, message_file, run, run_step, thread

THREADS = [ThreadKey("thread_1"), ThreadKey("thread_2"), ThreadKey("thread_long"), ThreadKey("thread_missing")]
SIZES = [1, 2, 3, 5, 20, 100, 101, 150, 250]
LIST_PARENTS: dict[str, Callable[[int], NodeKey]] = {
    "messages": lambda number: THREADS[number % 2],
    "runs": lambda number: THREADS[number % 2],
    "steps": lambda number: RunKey("thread_1", f"run_{number % 3}"),
    "files": lambda number: MessageKey("thread_1", f"msg_{number % 4}"),
}


def random_threads_api(seed: int) -> FakeThreadsApi:
    """Make two small threads and a long one, whose messages, runs and steps refer to each other at random."""
    rng = random.Random(seed)
    api = FakeThreadsApi(capabilities=rng.choice([V1, V2]))
    api.ignores_run_id = seed % 2 == 1
    for number in range(3):
        api.assistants[AssistantKey(f"asst_{number}")] = assistant(f"asst_{number}", created_at=number)
    for thread_id, length in (("thread_1", rng.randrange(8)), ("thread_2", rng.randrange(4)), ("thread_long", 230)):
        api.threads[ThreadKey(thread_id)] = thread(thread_id)
        for number in range(3):
            status = rng.choice(["completed", "in_progress", "requires_action"])
            fields = {"created_at": number, "status": status, "assistant_id": f"asst_{rng.randrange(4)}"}
            api.runs[RunKey(thread_id, f"run_{number}")] = run(f"run_{number}", **fields)
            for step in range(rng.randrange(3)):
                details = rng.choice([_wrote(f"msg_{rng.randrange(9)}"), _called(rng)])
                api.run_steps[RunStepKey(thread_id, f"run_{number}", f"step_{step}")] = run_step(
                    f"step_{step}", created_at=step, assistant_id="asst_1", type=details["type"], step_details=details
                )
        for number in range(length):
            api.messages[MessageKey(thread_id, f"msg_{number}")] = message(
                f"msg_{number}",
                created_at=number,
                run_id=rng.choice([None, "run_0", "run_1", "run_2", "run_gone"]),
                assistant_id=rng.choice([None, "asst_0", "asst_1", "asst_gone"]),
                content=[_image(rng), _cited_text(rng)][: rng.randrange(3)],
                attachments=[{"file_id": _file_id(rng)} for _ in range(rng.randrange(3))],
            )
    for number in range(2):
        api.message_files[MessageFileKey("thread_1", "msg_1", f"file-{number}")] = message_file(f"file-{number}")
    for number in range(FILES - 1):
        api.files[FileKey(f"file-{number}")] = file(f"file-{number}")
    return api


FILES = 30
"""The number of files that random objects cite; the last one does not exist."""


def _file_id(rng: random.Random) -> str:
    return f"file-{rng.randrange(FILES)}"


def _image(rng: random.Random) -> dict[str, Any]:
    return {"type": "image_file", "image_file": {"file_id": _file_id(rng)}}


def _cited_text(rng: random.Random) -> dict[str, Any]:
    kinds = [rng.choice(["file_citation", "file_path"]) for _ in range(rng.randrange(4))]
    annotations = [{"type": kind, "text": "[]", kind: {"file_id": _file_id(rng)}} for kind in kinds]
    return {"type": "text", "text": {"value": "[]", "annotations": annotations}}


def _wrote(message_id: str) -> dict[str, Any]:
    return {"type": "message_creation", "message_creation": {"message_id": message_id}}


def _called(rng: random.Random) -> dict[str, Any]:
    outputs = [{"type": "image", "image": {"file_id": _file_id(rng)}} for _ in range(rng.randrange(3))]
    results = [{"file_id": rng.choice([None, _file_id(rng)]), "score": 1} for _ in range(rng.randrange(3))]
    code = {"type": "code_interpreter", "id": "a", "code_interpreter": {"input": "", "outputs": outputs}}
    search = {"type": "file_search", "id": "b", "file_search": {"results": results}}
    return {"type": "tool_calls", "tool_calls": [code, search]}


def random_content_urls(seed: int) -> FakeContentUrls:
    """Make addresses of some files, none of others, and a failure of one."""
    rng = random.Random(seed)
    away = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger did not answer in time.")
    return FakeContentUrls({f"file-{number}" for number in range(FILES) if rng.randrange(2)}, {_file_id(rng): away})


def random_viewer_api(seed: int) -> FakeViewerApi:
    """Make the records of some threads and of one that is gone, and runs that wait. With some seeds it is away."""
    rng = random.Random(seed)
    viewer = FakeViewerApi(is_away=seed % 7 == 6, keeps_records=seed % 7 != 5)
    for thread_id in ("thread_1", "thread_2", "thread_long", "thread_missing"):
        if rng.randrange(4):
            viewer.add(thread_id, rng.randrange(3), rng.randrange(3, 6), title=rng.choice([None, "Tea"]))
    for number in range(rng.randrange(4)):
        viewer.wait(RunKey(rng.choice(["thread_1", "thread_2"]), f"run_{number}"), rng.randrange(3))
    return viewer


CALLS = "details { ... on ToolCallsDetails { toolCalls { ... on %s } } }"
CITING = {
    "Message": [
        ("attachments { fileId %s }", "File"),
        ("content { ... on ImageFileContent { %s } }", "File"),
        ("content { ... on TextContent { annotations { ... on FileCitation { %s } } } }", "File"),
        ("content { ... on TextContent { annotations { ... on FilePath { fileId %s } } } }", "File"),
    ],
    "RunStep": [
        (CALLS % "CodeInterpreterToolCall { outputs { ... on CodeInterpreterImage { %s } } }", "File"),
        (CALLS % "FileSearchToolCall { results { score %s } }", "File"),
    ],
}
"""Fields of nodes that lead to the files that their parts cite."""


class _Writer:
    """Writes a random operation. Every field with arguments or subfields gets its own alias."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.aliases = 0
        self.fragments: list[str] = []

    def choose(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def alias(self) -> str:
        self.aliases += 1
        return f"f{self.aliases}"

    def paging(self, name: str, depth: int, *, of_run: bool) -> str:
        size = self.choose(*(SIZES if depth == 0 else SIZES[:4]))
        arguments = self.choose(f"first: {size}", f"last: {size}", f"first: {size}, last: 1", "first: 0")
        parent = LIST_PARENTS.get(name)
        if parent is not None and self.choose(True, False, False):
            prefix = {"messages": "msg_", "files": "file-"}.get(name, f"{name[:-1]}_")
            cursor = CursorScope(name, parent(self.choose(0, 1, 2))).to_cursor(f"{prefix}{self.choose(0, 1)}")
            arguments += f', {"after" if arguments[0] == "f" else "before"}: "{cursor}"'
        if name == "messages" and not of_run and self.choose(True, False, False):
            run_id = self.choose("run_0", "run_1", to_global_id(RunKey("thread_1", "run_0")))
            arguments += f', runId: "{run_id}"'
        return f"({arguments})"

    def connection(self, name: str, item: str, depth: int, *, of_run: bool = False) -> str:
        selected = self.choose("pageInfo { endCursor }", "nodes { %s }", "nodes { %s }", "edges { cursor node { %s } }")
        if "%s" in selected:
            selected %= self.selection(item, depth + 1)
        return f"{self.alias()}: {name}{self.paging(name, depth, of_run=of_run)} {{ {selected} }}"

    def reference(self, name: str, item: str, depth: int) -> str:
        return f"{self.alias()}: {name} {{ {self.selection(item, depth + 1)} }}"

    def selection(self, type_name: str, depth: int) -> str:
        plain = {
            "Thread": ["metadata", "title", "isArchived lastActivityAt", "usage { totalTokens }"],
            "Message": ["role", "text"],
            "Run": ["status"],
            "RunStep": ["type"],
            "Assistant": ["name"],
            "MessageFile": ["createdAt"],
            "File": ["filename", "bytes createdAt", "contentUrl", "purpose contentUrl"],
        }[type_name]
        parts = [self.choose("id", "__typename", *plain)]
        for _ in range(self.choose(0, 1, 1, 2, 3) if depth < 4 else 0):
            field = self.field(type_name, depth)
            if field is None:
                break
            parts.append(self.wrapped(field, type_name))
        return " ".join(parts)

    def wrapped(self, field: str, type_name: str) -> str:
        name = f"Part{len(self.fragments)}"
        wrapping = self.choose(None, None, f"... on {type_name}", "... @skip(if: $yes)", "... @include(if: $yes)", name)
        if wrapping == name:
            self.fragments.append(f"fragment {name} on {type_name} {{ {field} }}")
            return f"...{name} ...{name}"
        return field if wrapping is None else f"{wrapping} {{ {field} }}"

    def field(self, type_name: str, depth: int) -> str | None:
        lists = {
            "Thread": [("messages", "Message"), ("runs", "Run")],
            "Message": [("files", "MessageFile")],
            "Run": [("steps", "RunStep"), ("messages", "Message")],
        }
        references = {
            "Thread": [("activeRun", "Run")],
            "Message": [("thread", "Thread"), ("run", "Run"), ("assistant", "Assistant"), *CITING["Message"]],
            "MessageFile": [("message", "Message"), ("file", "File")],
            "Run": [("thread", "Thread"), ("assistant", "Assistant")],
            "RunStep": [
                ("thread", "Thread"),
                ("run", "Run"),
                ("assistant", "Assistant"),
                ("details", "Message"),
                *CITING["RunStep"],
            ],
        }
        choices = [*lists.get(type_name, []), *references.get(type_name, [])]
        if not choices:
            return None
        name, item = self.choose(*choices)
        if "%s" in name:
            return f"{self.alias()}: {name % f'file {{ {self.selection(item, depth + 1)} }}'}"
        if name == "details":
            message = f"message {{ {self.selection('Message', depth + 1)} }}"
            return f"{self.alias()}: details {{ ... on MessageCreationDetails {{ {message} }} }}"
        if (name, item) in lists.get(type_name, []):
            return self.connection(name, item, depth, of_run=type_name == "Run")
        return self.reference(name, item, depth)

    def root(self) -> str:
        kind = self.choose(
            "thread", "thread", "threadsByIds", "node", "nodes", "message", "run", "assistants", "viewer", "file"
        )
        run_key, message_key = RunKey("thread_1", "run_1"), MessageKey("thread_1", "msg_1")
        if kind == "thread":
            key = self.choose(*THREADS)
            id_ = self.choose(key.thread_id, to_global_id(key), "not an id")
            return f'{self.alias()}: thread(id: "{id_}") {{ {self.selection("Thread", 0)} }}'
        if kind == "threadsByIds":
            ids = " ".join(f'"{self.choose(*THREADS).thread_id}"' for _ in range(self.choose(0, 1, 2, 4)))
            return f"{self.alias()}: threadsByIds(ids: [{ids}]) {{ {self.selection('Thread', 1)} }}"
        if kind == "viewer":
            return self.viewer()
        if kind == "file":
            return f'{self.alias()}: file(id: "file-{self.choose(0, 1, 29)}") {{ {self.selection("File", 0)} }}'
        if kind in {"node", "nodes"}:
            keys = [THREADS[0], THREADS[1], run_key, RunKey("thread_2", "run_0"), message_key, AssistantKey("asst_1")]
            keys += [FileKey("file-0"), FileKey("file-29")]
            ids = " ".join(f'"{to_global_id(self.choose(*keys))}"' for _ in range(4))
            argument = f"ids: [{ids}]" if kind == "nodes" else f"id: {ids.split()[0]}"
            parts = " ".join(
                f"... on {name} {{ {self.selection(name, 1)} }}"
                for name in ("Thread", "Run", "Message", "Assistant", "File")
            )
            return f"{self.alias()}: {kind}({argument}) {{ {parts} }}"
        if kind == "assistants":
            return self.connection("assistants", "Assistant", 0)
        key, type_name = (run_key, "Run") if kind == "run" else (message_key, "Message")
        return f'{self.alias()}: {kind}(id: "{to_global_id(key)}") {{ {self.selection(type_name, 0)} }}'

    def viewer(self) -> str:
        lists = [self.kept_list() for _ in range(self.choose(1, 1, 2))]
        return f"{self.alias()}: viewer {{ id {' '.join(lists)} {self.choose('', 'usage { totalTokens }')} }}"

    def kept_list(self) -> str:
        name, item = self.choose(("threads", "Thread"), ("threads", "Thread"), ("waitingRuns", "Run"))
        window = self.choose("first: 1", "first: 3", "last: 2", "first: 250", "first: 0", 'after: "x"')
        order = self.choose("", ", orderBy: CREATED", ', filter: { text: "tea" }') if name == "threads" else ""
        selected = self.choose("nodes { %s }", "nodes { %s }", "edges { cursor node { %s } }", "pageInfo { endCursor }")
        if "%s" in selected:
            selected %= self.selection(item, 1)
        return f"{self.alias()}: {name}({window}{order}) {{ {selected} }}"

    def write(self) -> str:
        run_id, message_id = to_global_id(RunKey("thread_1", "run_1")), to_global_id(MessageKey("thread_1", "msg_1"))
        name, arguments, payload = self.choose(
            ("createMessage", 'threadId: "thread_1", content: [{ text: "x" }]', "message thread"),
            ("createRun", 'threadId: "thread_2", assistantId: "asst_1"', "run thread messages"),
            (
                "createRun",
                'threadId: "thread_2", assistantId: "asst_1", additionalMessages: [{ content: [{ text: "a" }] }]',
                "messages run",
            ),
            ("createThread", "metadata: {}", "thread"),
            ("createThread", 'title: "Tea"', "thread"),
            ("updateThread", 'threadId: "thread_1", metadata: { a: "b" }', "thread"),
            ("updateThread", 'threadId: "thread_1", title: "Tea"', "thread"),
            ("updateThread", 'threadId: "thread_2", metadata: {}, isArchived: true', "thread"),
            ("cancelRun", f'runId: "{run_id}"', "run"),
            ("submitToolOutputs", f'runId: "{run_id}", toolOutputs: [{{ callId: "x", output: "y" }}]', "run"),
            ("submitToolApprovals", f'runId: "{run_id}", approvals: [{{ callId: "x", approve: true }}]', "run"),
            ("deleteMessage", f'messageId: "{message_id}"', "thread"),
            ("deleteAssistant", 'assistantId: "asst_2"', ""),
            ("deleteFile", 'fileId: "file-1"', ""),
        )
        parts = " ".join(
            f"{part} {{ {self.selection(part.title().removesuffix('s'), 1)} }}" for part in payload.split()
        )
        refusals = self.choose("userErrors { code }", "... on MutationPayload { userErrors { code } clientMutationId }")
        return f"{self.alias()}: {name}(input: {{ {arguments} }}) {{ {refusals} {parts} }}"


@st.composite
def operations(draw: Callable[..., Any]) -> str:
    """Draw an operation that validation accepts. Its variable `$yes` is true."""
    writer = _Writer(draw)
    kind, root = writer.choose(("query", writer.root), ("query", writer.root), ("mutation", writer.write))
    fields = " ".join(root() for _ in range(writer.choose(1, 2, 3)))
    return "\n".join(
        [f"{kind} ($yes: Boolean! = true) {{ {fields} a: __typename @skip(if: $yes) }}", *writer.fragments]
    )


EVENT_OBJECTS = {
    "RunSnapshot": [("run", "Run"), ("messages", "Message"), ("steps", "RunStep")],
    "RunStatusChange": [("run", "Run")],
    "StepChanged": [("step", "RunStep")],
    "MessageCreated": [("message", "Message")],
    "MessageFinished": [("message", "Message")],
}


@st.composite
def subscriptions(draw: Callable[..., Any]) -> str:
    """Draw a valid subscription to all events of `run_1` of `thread_1`. Its variable `$yes` is true."""
    writer = _Writer(draw)
    parts = []
    for event_type, objects in EVENT_OBJECTS.items():
        fields = [
            writer.reference(name, item, 1) for name, item in (*objects, *objects) if writer.choose(True, True, False)
        ]
        part = f"... on {event_type} {{ cursor {' '.join(fields)} }}"
        parts.append(writer.choose(part, f"... on RunLogEvent {{ at {part} }}"))
    run_id = to_global_id(RunKey("thread_1", "run_1"))
    followed = f'runEvents(runId: "{run_id}") {{ {" ".join(parts)} ... on Lagged @skip(if: $yes) {{ skipped }} }}'
    return "\n".join([f"subscription ($yes: Boolean! = true) {{ {followed} }}", *writer.fragments])


def random_changes(api: FakeThreadsApi) -> list[Change]:
    """Make a change of each kind that carries objects, all of `run_1` of `thread_1`."""
    run_key = RunKey("thread_1", "run_1")
    steps = [step for key, step in api.run_steps.items() if key[:2] == run_key]
    messages = [message for key, message in api.messages.items() if key.thread_id == "thread_1"]
    changes: list[Change] = [SnapshotChange(api.runs[run_key], steps, messages), StatusChange(api.runs[run_key])]
    changes += [StepChange(step) for step in steps]
    changes += [kind(message) for message in messages for kind in (MessageCreatedChange, MessageFinishedChange)]
    return changes
