import msgspec
import pytest

from schema.contract.wire import KindObject
from schema.graph.lenient_parts import decode_part, unknown_part
from schema.graph.scalars import JSON
from tests.support.wire_samples import raw

DECODER = msgspec.json.Decoder(KindObject)


def test_a_part_of_the_known_shape_is_decoded_and_unknown_keys_are_ignored() -> None:
    assert decode_part(DECODER, raw({"type": "a", "more": 1})) == KindObject("a")


@pytest.mark.parametrize("sent", [{"type": 5}, {"type": None}, "text", 5, None, [1]])
def test_a_part_of_another_shape_is_none(sent: object) -> None:
    assert decode_part(DECODER, raw(sent)) is None


@pytest.mark.parametrize(
    ("sent", "kind"),
    [({"type": "new", "a": [1, {"b": None}]}, "new"), ({"type": 5}, ""), ({}, ""), ("text", ""), (5, "")],
)
def test_an_unknown_part_keeps_its_json(sent: object, kind: str) -> None:
    assert unknown_part(raw(sent)) == (kind, sent)


def test_a_null_part_is_an_empty_object_since_its_json_is_never_null_in_the_graph() -> None:
    assert unknown_part(raw(None)) == ("", JSON({}))
