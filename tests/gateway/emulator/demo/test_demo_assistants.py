from gateway.emulator.bodies.reply_objects import assistant_file_ids
from gateway.emulator.demo.demo_assistants import FILE_SALES, analyst, concierge, support, writer


def test_every_assistant_has_a_name_and_instructions() -> None:
    for make in (analyst, concierge, support, writer):
        made = make(5)
        assert made.name
        assert made.instructions
        assert made.created_at == 5


def test_the_analyst_has_a_file_in_either_version() -> None:
    assert assistant_file_ids(analyst(5)) == (FILE_SALES,)
