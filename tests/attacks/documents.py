"""Attacks by documents: what is refused, and the largest that is allowed."""

from graphql import get_introspection_query

from tests.attacks.attack import THREAD, OperationAttack

INVALID = "GRAPHQL_VALIDATION_FAILED"
UNPARSED = "GRAPHQL_PARSE_FAILED"
EXPENSIVE = "TOO_EXPENSIVE"
BAD_INPUT = "BAD_USER_INPUT"


def thread(selection: str) -> str:
    return f'thread(id: "{THREAD}") {{ {selection} }}'


def levels(count: int, first: int) -> str:
    """Select the messages of a thread, the thread of each message, its messages, and so on."""
    inner = "id"
    for _ in range(count):
        inner = f"messages(first: {first}) {{ nodes {{ id thread {{ {inner} }} }} }}"
    return f"{{ {thread(inner)} }}"


def aliased(count: int, field: str) -> str:
    return "{ " + " ".join(f"a{number}: {field}" for number in range(count)) + " }"


def nested(width: int, depth: int, field: str, inner: str) -> str:
    for _ in range(depth):
        inner = f"{field} {{ {inner} }} " * width
    return inner


def chained_fragments(count: int) -> str:
    parts = [f"fragment F{n} on Thread {{ id ...F{n + 1} }}" for n in range(count)]
    return f"{{ {thread('...F0')} }} {' '.join(parts)} fragment F{count} on Thread {{ id }}"


def doubling_fragments(count: int) -> str:
    step = "a{0}: thread {{ messages(first: 1) {{ nodes {{ ...F{1} }} }} }}"
    parts = [f"fragment F{n} on Message {{ {step.format(1, n + 1)} {step.format(2, n + 1)} }}" for n in range(count)]
    opening = thread("messages(first: 1) { nodes { ...F0 } }")
    return f"{{ {opening} }} {' '.join(parts)} fragment F{count} on Message {{ id }}"


LONG_PAGE = thread("messages(first: 1000) { nodes { id role content { __typename } } }")
ALL_TYPES = "__schema { types { name } }"

REFUSED = (
    OperationAttack("four levels of 20 messages", levels(4, 20), code=EXPENSIVE),
    OperationAttack("nine levels of 100 messages", levels(9, 100), code=EXPENSIVE),
    OperationAttack("70 aliases of one long page", "{ " + " ".join(
        f"t{n}: {LONG_PAGE}" for n in range(70)) + " }", code=EXPENSIVE),
    OperationAttack("220 aliases of introspection", aliased(220, ALL_TYPES), code=INVALID),
    OperationAttack("introspection nested in itself", "{ __schema { types { fields { type { fields { type { fields "
        "{ type { fields { type { name } } } } } } } } } } }", code=INVALID),
    OperationAttack("650 unknown input fields", "mutation { createThread(input: {"
        + " ".join(f"f{n}: 1" for n in range(650)) + "}) { clientMutationId } }", code=INVALID),
    OperationAttack("1,990 unknown fields", "{ " + " ".join(f"f{n}" for n in range(1_990)) + " }", code=INVALID),
    OperationAttack("660 unknown arguments", "{ thread(" + " ".join(f"i{n}: 1" for n in range(660))
        + ") { id } }", code=INVALID),
    OperationAttack("similar unknown fields", "{ " + " ".join(f"assistant{n}" for n in range(1_990)) + " }",
        code=INVALID),
    OperationAttack("a name of 900 KB", "{ " + "a" * 900_000 + " }", code=BAD_INPUT),
    OperationAttack("a literal of 900 KB", f'{{ thread(id: "{"a" * 900_000}") {{ id }} }}', code=BAD_INPUT),
    OperationAttack("a number of 90 KB", f"{{ thread(id: {'9' * 90_000}) {{ id }} }}", code=BAD_INPUT),
    OperationAttack("a block string of 99 KB", '{ thread(id: """' + "\\n " * 33_000 + '""") { id } }',
        code=BAD_INPUT),
    OperationAttack("a comment of 900 KB", "{ __typename } #" + "a" * 900_000, code=BAD_INPUT),
    OperationAttack("nesting of 1,900 levels", "{ thread " * 1_900 + "}" * 1_900, code=UNPARSED),
    OperationAttack("nesting of 150 levels", "{ thread " * 150 + "{ id }" + "}" * 150, code=INVALID),
    OperationAttack("a list value of 1,900 levels", "{ thread(id: " + "[" * 1_900 + "]" * 1_900 + ") { id } }",
        code=UNPARSED),
    OperationAttack("a list type of 1,900 levels", "query ($a: " + "[" * 1_900 + "ID" + "]" * 1_900
        + ") { __typename }", code=UNPARSED),
    OperationAttack("280 directives", "{ __typename " + "@include(if: true) " * 280 + "}", code=INVALID),
    OperationAttack("a huge directive", "{ __typename @include(" + " ".join(f"a{n}: true" for n in range(660))
        + ") }", code=INVALID),
    OperationAttack("990 unknown directives", "{ __typename " + "@foo " * 990 + "}", code=INVALID),
    OperationAttack("many operations", " ".join(f"query Q{n} {{ __typename }}" for n in range(398)), code=BAD_INPUT),
    OperationAttack("many operations of one name", "query Q { __typename } " * 398, code=BAD_INPUT),
    OperationAttack("490 unknown variables", "query (" + " ".join(f"$v{n}: Thred" for n in range(490))
        + ") { __typename }", code=INVALID),
    OperationAttack("490 unused variables", "query (" + " ".join(f"$v{n}: ID" for n in range(490))
        + ") { __typename }", code=INVALID),
    OperationAttack("fragments in a circle", "{ thread(id: 1) { ...F0 } } " + " ".join(
        f"fragment F{n} on Thread {{ ...F{(n + 1) % 245} }}" for n in range(245)), code=INVALID),
    OperationAttack("chained fragments", chained_fragments(215), code=INVALID),
    OperationAttack("fragments that double", doubling_fragments(45), code=INVALID),
    OperationAttack("too many tokens", "{ " + "a " * 45_000 + "}", code=UNPARSED),
)  # fmt: skip
"""Documents beyond a limit, or at the edge of one that took long."""

LARGEST = (
    OperationAttack("99 KB of commas", "{ __typename" + "," * 99_000 + " }"),
    OperationAttack("7x7x7 merges of ofType", '{ __type(name: "Run") { ' + nested(7, 3, "ofType", "name") + " } }"),
    OperationAttack("21x21 merges", '{ __type(name: "Run") { ' + ("ofType { " + "ofType { name } " * 21 + "} ") * 21
        + "} }"),
    OperationAttack("220 fragments", f"{{ {thread(' '.join(f'...F{n}' for n in range(220)))} }} "
        + " ".join(f"fragment F{n} on Thread {{ id }}" for n in range(220))),
    OperationAttack("introspection", get_introspection_query()),
    OperationAttack("660 aliases of __typename", aliased(660, "__typename")),
    OperationAttack("1,990 equal fields", "{ " + "__typename " * 1_990 + "}"),
    OperationAttack("180 aliases of one thread", "{ " + " ".join(
        f't{n}: thread(id: "{THREAD}") {{ id }}' for n in range(180)) + " }"),
    OperationAttack("180 aliases of unknown threads", "{ " + " ".join(
        f't{n}: thread(id: "thread_{n}") {{ id }}' for n in range(180)) + " }"),
    OperationAttack("30 levels", levels(9, 1)),
    OperationAttack("19,000 objects, 19 aliases of one page", "{ " + " ".join(
        f"t{n}: {LONG_PAGE}" for n in range(19)) + " }"),
    OperationAttack("19,000 objects, two levels", levels(2, 98)),
    OperationAttack("31 MB of text", aliased(120, "assistants(last: 1) { nodes { instructions } }")),
    OperationAttack("35 MB of text", aliased(140, "assistants(last: 1) { nodes { instructions } }"),
        code="ANSWER_TOO_LARGE"),
)  # fmt: skip
"""Documents within all limits, as large as they may be."""

DOCUMENTS = REFUSED + LARGEST
