from collections import Counter

from gateway.emulator.operations.registry import operations

NEWER_ONLY = {"deleteMessage"}
OLDER_ONLY = {
    "listMessageFiles",
    "getMessageFile",
    "listAssistantFiles",
    "createAssistantFile",
    "getAssistantFile",
    "deleteAssistantFile",
}


def test_every_operation_has_a_unique_name_and_a_unique_path() -> None:
    assert max(Counter(operation.name for operation in operations()).values()) == 1
    assert max(Counter((operation.method, operation.path) for operation in operations()).values()) == 1


def test_each_version_has_as_many_operations_as_its_specification() -> None:
    # One more than in the specification: the list of threads, which only Foundry has.
    of_threads = [operation for operation in operations() if operation.needs_version]
    assert sum("v1" in operation.versions for operation in of_threads) == 28 + 1
    assert sum("v2" in operation.versions for operation in of_threads) == 23 + 1


FILE_OPERATIONS = {"listFiles", "createFile", "retrieveFile", "deleteFile", "downloadFile"}
# The names of the specification, and the two lists that only Foundry has.
SUCCESSOR_OPERATIONS = {
    *("createConversation", "getConversation", "updateConversation", "deleteConversation", "listConversations"),
    *("createConversationItems", "listConversationItems", "getConversationItem", "deleteConversationItem"),
    *("createResponse", "getResponse", "deleteResponse", "cancelResponse", "listInputItems", "listResponses"),
    "Getinputtokencounts",
}


def test_operations_on_files_conversations_and_responses_need_no_version() -> None:
    names = {operation.name for operation in operations() if not operation.needs_version}
    assert names == FILE_OPERATIONS | SUCCESSOR_OPERATIONS


def test_azure_lacks_the_operations_that_its_reference_lacks() -> None:
    lacking = {operation.name for operation in operations() if "azure" not in operation.servers}
    assert lacking - SUCCESSOR_OPERATIONS == {"listThreads", "deleteMessage"}
    of_threads = [operation for operation in operations() if operation.name not in SUCCESSOR_OPERATIONS]
    assert all({"openai", "foundry"} <= operation.servers for operation in of_threads)


def test_the_successor_is_where_its_servers_have_it() -> None:
    by_name = {operation.name: operation.servers for operation in operations()}
    for name in SUCCESSOR_OPERATIONS:
        own = set() if name in {"listConversations", "listResponses"} else {"openai"}
        assert by_name[name] == own | {"azure_v1", "foundry_v1"}
    assert {name for name, servers in by_name.items() if "azure_v1" in servers} == (
        SUCCESSOR_OPERATIONS | FILE_OPERATIONS
    )


def test_operations_of_only_one_version_are_marked() -> None:
    by_versions = {operation.name: operation.versions for operation in operations()}
    assert {name for name, versions in by_versions.items() if versions == {"v2"}} == NEWER_ONLY
    assert {name for name, versions in by_versions.items() if versions == {"v1"}} == OLDER_ONLY
