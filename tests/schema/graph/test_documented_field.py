from enum import Enum

import strawberry

from schema.graph.documented_field import about, deprecated, described, member


@strawberry.enum
class Colour(Enum):
    RED = member("red", "As blood.")


@strawberry.type
class Query:
    colour: Colour = about("An enum.")
    plain: int = about("A plain field.")

    @described
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
