"""The long demo thread: a work journal of 70 days, so that paging goes beyond a hundred messages."""

from gateway.emulator.demo.narrator import BeginStory
from gateway.emulator.objects import Assistant, TextPart
from gateway.emulator.runs.script import WriteMessage

THREAD_JOURNAL = "thread_demoWorkJournal000000001"
JOURNAL_DAYS = 70
_DAY_SECONDS = 86_400
# A run for every day would make the start of a demo slow. The client added the other answers itself.
_DAYS_BETWEEN_RUNS = 3
_DONE = (
    "moved the upload form to the new design",
    "fixed the flaky checkout test",
    "reviewed Priya's change to the invoice export",
    "wrote the migration for the address table",
    "interviewed two candidates",
    "halved the image size of the search service",
    "answered eleven support tickets",
)
_NEXT = (
    "the accessibility audit",
    "the rate limiter",
    "pairing with Tomáš on the importer",
    "the retrospective",
    "the quarterly roadmap",
    "upgrading the database driver",
    "documentation for webhooks",
    "the dark theme",
    "cleaning up feature flags",
)
_MOODS = ("🙂", "😅", "🚀", "😴", "☕")


def write_conversation(begin: BeginStory, started_at: float, writer: Assistant) -> None:
    """Write the conversation about 70 days of work, two messages a day."""
    story = begin(THREAD_JOURNAL, started_at, metadata={"title": "Work journal"})
    for day in range(1, JOURNAL_DAYS + 1):
        done, planned = _DONE[day % len(_DONE)], _NEXT[day % len(_NEXT)]
        story.at = started_at + (day - 1) * _DAY_SECONDS
        story.say(f"Day {day} {_MOODS[day % len(_MOODS)]}: I {done}. Tomorrow: {planned}.")
        answer = f"Noted for day {day}: you {done}. I'll ask about {planned} tomorrow."
        if day % _DAYS_BETWEEN_RUNS == 0:
            week = f"{answer} That makes {day} days without a gap: well done!"
            story.run(writer, WriteMessage((TextPart(value=week),)))
        else:
            story.say(answer, role="assistant")
