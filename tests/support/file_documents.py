"""Operations by the id of a file, for tests of who may reach it."""

FILE_FIELDS = "id upstreamId filename bytes purpose createdAt"

FILE_READS = {
    "file": f"query ($file: ID!) {{ file(id: $file) {{ {FILE_FIELDS} }} }}",
    "only what the key says": "query ($file: ID!) { file(id: $file) { id upstreamId } }",
    "node": f"query ($file: ID!) {{ node(id: $file) {{ __typename ... on File {{ {FILE_FIELDS} }} }} }}",
    "nodes": "query ($file: ID!) { nodes(ids: [$file, $file]) { id ... on File { filename } } }",
}
"""Queries by the global ID of one file."""

DELETE_FILE = """mutation ($file: ID!) { deleteFile(input: {fileId: $file}) {
    deletedId userErrors { __typename message code field } } }"""

_IMAGE = "{content: [{imageFile: {fileId: $file}}]}"
_ATTACHED = '{content: [{text: "Look"}], attachments: [{fileId: $file, tools: [CODE_INTERPRETER]}]}'
_RESOURCES = "toolResources: {codeInterpreter: {fileIds: [$file]}}"
_INDEXED = "toolResources: {fileSearch: {vectorStores: [{fileIds: [$file]}]}}"

FILE_NAMERS = {
    "createMessage": ("threadId: $thread, content: [{imageFile: {fileId: $file}}]", "message { id }"),
    "createMessage with an attachment": (
        'threadId: $thread, content: [{text: "Look"}], attachments: [{fileId: $file, tools: [CODE_INTERPRETER]}]',
        "message { id }",
    ),
    "createThread": (f"messages: [{_IMAGE}, {_ATTACHED}]", "thread { id }"),
    "createThread with resources": (_RESOURCES, "thread { id }"),
    "createThread with an index": (_INDEXED, "thread { id }"),
    "updateThread": (f"threadId: $thread, {_RESOURCES}", "thread { id }"),
    "createRun": (f"threadId: $thread, assistantId: $assistant, additionalMessages: [{_IMAGE}]", "run { id }"),
    "createThreadAndRun": (f"assistantId: $assistant, thread: {{messages: [{_ATTACHED}]}}", "run { id }"),
}
"""Inputs that name a file, with the payload's field. The first word of a name is the mutation's."""


def naming_mutation(name: str) -> str:
    given, field = FILE_NAMERS[name]
    variables = ", ".join(f"${each}: ID!" for each in ("file", "thread", "assistant") if f"${each}" in given)
    payload = f"{field} userErrors {{ __typename message code field }}"
    return f"mutation ({variables}) {{ {name.split(maxsplit=1)[0]}(input: {{{given}}}) {{ {payload} }} }}"
