"""Operations by the ids of a thread and of the objects in it, for tests of who may reach them."""

from tests.support.emulator_runs import RUN_EVENTS, RUN_STATUS, THREAD_EVENTS
from tests.support.signed_in import Ids

FIELDS = """__typename id
    ... on Thread { metadata messages { nodes { text } } runs { nodes { status } } }
    ... on Message { text run { status } thread { createdAt } }
    ... on Run { status assistant { name } steps { nodes { status } } messages { nodes { text } } thread { createdAt } }
    ... on RunStep { stepStatus: status run { status } }"""

READS = {
    "thread": "query ($thread: ID!) { thread(id: $thread) { id metadata createdAt } }",
    "thread's messages": "query ($thread: ID!) { thread(id: $thread) { messages(last: 5) { nodes { text } } } }",
    "thread's runs": "query ($thread: ID!) { thread(id: $thread) { runs { nodes { status } } } }",
    "only what the key says": "query ($thread: ID!) { thread(id: $thread) { id upstreamId } }",
    "threads by ids": "query ($thread: ID!) { threadsByIds(ids: [$thread, $thread]) { createdAt } }",
    "message": "query ($message: ID!) { message(id: $message) { text thread { createdAt } run { status } } }",
    "run": """query ($run: ID!) {
        run(id: $run) { status assistant { name } steps { nodes { status } } messages { nodes { text } } } }""",
    "node of a thread": f"query ($thread: ID!) {{ node(id: $thread) {{ {FIELDS} }} }}",
    "node of a message": f"query ($message: ID!) {{ node(id: $message) {{ {FIELDS} }} }}",
    "node of a run": f"query ($run: ID!) {{ node(id: $run) {{ {FIELDS} }} }}",
    "node of a step": f"query ($step: ID!) {{ node(id: $step) {{ {FIELDS} }} }}",
    "nodes": f"""query ($thread: ID!, $message: ID!, $run: ID!, $step: ID!) {{
        nodes(ids: [$thread, $message, $run, $step]) {{ {FIELDS} }} }}""",
}
"""Queries by the ids of one thread, its message, its run and its step."""

MUTATIONS = {
    "updateThread": 'threadId: $thread, metadata: {a: "b"}',
    "deleteThread": "threadId: $thread",
    "createMessage": 'threadId: $thread, content: [{text: "Hello"}]',
    "updateMessage": "messageId: $message, metadata: {}",
    "deleteMessage": "messageId: $message",
    "createRun": 'threadId: $thread, assistantId: "ASSISTANT"',
    "updateRun": "runId: $run, metadata: {}",
    "cancelRun": "runId: $run",
    "submitToolOutputs": 'runId: $run, toolOutputs: [{callId: "call_1", output: "x"}]',
    "submitToolApprovals": 'runId: $run, approvals: [{callId: "call_1", approve: true}]',
}
"""Inputs of all mutations that name an object of a thread."""

SUBSCRIPTIONS = {"runStatus": RUN_STATUS, "runEvents": RUN_EVENTS, "threadEvents": THREAD_EVENTS}


def mutation(name: str) -> str:
    variables = "$thread: ID!, $message: ID!, $run: ID!"
    used = ", ".join(part for part in variables.split(", ") if part.split(":")[0] in MUTATIONS[name])
    payload = "userErrors { __typename message code field } clientMutationId"
    return f"mutation ({used}) {{ {name}(input: {{{MUTATIONS[name]}}}) {{ {payload} }} }}"


def variables_of(document: str, ids: Ids) -> dict[str, str]:
    """Return the global IDs that a document asks for."""
    return {name: global_id for name, global_id in ids.global_ids.items() if f"${name}:" in document}
