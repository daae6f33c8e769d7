import pytest

from schema.contract.wire_parts import ToolCallObject
from schema.graph.lenient_parts import part_kind, unknown_part
from schema.graph.scalars import JSON
from tests.support.wire_samples import decoded, raw


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"type": "browser", "function": {}}, "browser"),
        ({"function": {}}, "function"),
        ({"function": None, "file_search": {}}, "file_search"),
        ({"function": {}, "file_search": {}}, ""),
        ({}, ""),
    ],
)
def test_a_part_without_a_kind_is_of_the_kind_that_its_only_known_field_tells(sent: object, kind: str) -> None:
    assert part_kind(decoded(ToolCallObject, sent), "function", "file_search") == kind
    assert part_kind(None, "function") == ""


@pytest.mark.parametrize(
    ("sent", "kind"),
    [({"type": "new", "a": [1, {"b": None}]}, "new"), ({"type": 5}, ""), ({}, ""), ("text", ""), (5, "")],
)
def test_an_unknown_part_keeps_its_json(sent: object, kind: str) -> None:
    assert unknown_part(raw(sent)) == (kind, sent)


def test_a_null_part_is_an_empty_object_since_its_json_is_never_null_in_the_graph() -> None:
    assert unknown_part(raw(None)) == ("", JSON({}))
