"""The demo thread of release notes: an incomplete run (token limit), a cancelled, a failed and a completed one."""

from gateway.emulator.demo.narrator import BeginStory
from gateway.emulator.objects import Assistant, Failure, TextPart
from gateway.emulator.runs.script import WriteMessage

THREAD_RELEASE = "thread_demoReleaseNotes00000001"
RUN_INCOMPLETE = "run_demoReleaseNotes00000001"
RUN_CANCELLED = "run_demoReleaseNotes00000002"
RUN_FAILED_HALFWAY = "run_demoReleaseNotes00000003"
_NOTES = """## 3.4.0 “Ñandú” 🪶

- **Search** understands accents: `cafe` finds café, café and CAFÉ.
- **Export** keeps emoji such as 👩‍👩‍👧‍👦 and 🏳️‍🌈 in one piece.
- **Right to left**: שלום and مرحبا stand where they should.

Thanks to Łukasz, Nguyễn and 小林 for their reports."""


def write_conversation(begin: BeginStory, started_at: float, writer: Assistant) -> None:
    """Write the conversation about release notes that succeed at the fourth run."""
    story = begin(THREAD_RELEASE, started_at, metadata={"title": "Release notes 3.4.0"})
    story.say(
        "Write release notes for 3.4.0: accents in search, emoji in export, right-to-left text. Thank Łukasz, Nguyễn "
        "and 小林."
    )
    notes = (TextPart(value=_NOTES),)
    story.run(writer, WriteMessage(notes, incomplete_reason="max_completion_tokens"))
    story.wait(60)
    story.run(writer, WriteMessage(notes), is_cancelled=True)
    story.wait(60)
    failure = Failure("server_error", "Sorry, something went wrong.")
    story.run(writer, WriteMessage(notes, failure=failure))
    story.wait(60)
    story.run(writer, WriteMessage(notes), metadata={"attempt": "4"})
    story.say("Perfect, that's it. 🎉")
