from gateway.emulator.demo.demo_assistants import support
from gateway.emulator.demo.narrator import Narrator, marked_text
from gateway.emulator.objects import TextPart
from gateway.emulator.runs.script import WriteMessage
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import START


def test_ids_are_readable_and_numbered(store: Store) -> None:
    story = Narrator(store, "mine", "thread_demoTale0000000000000001", START)
    assert [story.new_id("msg"), story.new_id("msg"), story.new_id("run"), story.new_id("file")] == [
        "msg_demoTale0000000000000001",
        "msg_demoTale0000000000000002",
        "run_demoTale0000000000000001",
        "file-demoTale00000000000001",
    ]


def test_a_run_of_the_demo_ends_before_the_story_continues(store: Store) -> None:
    story = Narrator(store, "mine", "thread_demoTale0000000000000001", START)
    question = story.say("Why?")
    run = story.run(support(START), WriteMessage((TextPart(value="Because."),)))
    assert run.status == "completed"
    assert question.created_at < run.created_at < story.at


def test_marks_are_found_in_code_points() -> None:
    assert marked_text("🏭 a 【0】", ["【0】"]) == [("【0】", 4, 7)]
