from enum import Enum

import strawberry

from schema.graph.documented_field import deprecated, documented_field, enum_member, plain_field


@strawberry.enum
class Colour(Enum):
    RED = enum_member("red", "As blood.")


@strawberry.type
class Query:
    colour: Colour = plain_field("An enum.")
    plain: int = plain_field("A plain field.")

    @documented_field
    def resolved(self) -> int:
        """A resolved field.

        With a second paragraph.
        """
        return 1

    @deprecated("Use resolved.")
    def old(self) -> int:
        """An old field."""
        return 2


def test_a_fields_description_is_its_resolvers_docstring() -> None:
    fields = {field.python_name: field for field in strawberry.Schema(Query).get_type_by_name("Query").fields}  # type: ignore[union-attr]  # an object type
    assert fields["plain"].description == "A plain field."
    assert fields["resolved"].description == "A resolved field.\n\nWith a second paragraph."
    assert (fields["old"].description, fields["old"].deprecation_reason) == ("An old field.", "Use resolved.")


def test_a_member_of_an_enum_has_its_word_and_its_description() -> None:
    assert Colour("red") is Colour.RED
    assert '"""As blood."""\n  RED' in strawberry.Schema(Query).as_str()
