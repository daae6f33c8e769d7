import pytest

from gateway.emulator.ids import has_prefix, id_from_name, is_object_id


def test_an_id_has_the_form_of_the_api_and_is_always_the_same() -> None:
    made = id_from_name("thread", "1")
    assert is_object_id(made)
    assert made == id_from_name("thread", "1")
    assert has_prefix(made, "thread")


def test_ids_of_a_thousand_names_differ_and_are_in_no_order() -> None:
    made = [id_from_name("msg", str(number)) for number in range(1000)]
    assert len(set(made)) == 1000
    assert made != sorted(made)


def test_a_file_id_is_written_with_a_dash_and_22_characters() -> None:
    prefix, _, rest = id_from_name("file", "x").partition("-")
    assert (prefix, len(rest)) == ("file", 22)


@pytest.mark.parametrize("candidate", ["thread", "threadx_1", "msg_1", ""])
def test_an_id_of_another_kind_does_not_have_the_prefix(candidate: str) -> None:
    assert not has_prefix(candidate, "thread")
