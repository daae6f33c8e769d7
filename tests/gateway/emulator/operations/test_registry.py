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


def test_every_operation_has_a_name_and_a_place_of_its_own() -> None:
    assert max(Counter(operation.name for operation in operations()).values()) == 1
    assert max(Counter((operation.method, operation.path) for operation in operations()).values()) == 1


def test_the_versions_know_as_many_operations_as_their_specifications() -> None:
    # One more than the specification has: listing threads, which is there to be refused.
    assert sum("v1" in operation.versions for operation in operations()) == 28 + 1
    assert sum("v2" in operation.versions for operation in operations()) == 23 + 1


def test_what_only_one_version_knows_is_marked() -> None:
    by_versions = {operation.name: operation.versions for operation in operations()}
    assert {name for name, versions in by_versions.items() if versions == {"v2"}} == NEWER_ONLY
    assert {name for name, versions in by_versions.items() if versions == {"v1"}} == OLDER_ONLY
