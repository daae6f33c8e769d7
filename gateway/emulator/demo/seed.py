"""The demo data of a partition: conversations whose ids are always the same, so that examples can name them.

| id                  | content                                                                                  |
|---------------------|------------------------------------------------------------------------------------------|
| THREAD_TRIP         | parallel function calls with their outputs, image_url, a refusal, CJK and Arabic         |
| THREAD_SUPPORT      | RUN_FAILED, then a completed run with a function call, image_file                        |
| THREAD_REFUND       | RUN_WAITING in requires_action; it expires only after ten years, for demos left open     |
| THREAD_ANALYSIS     | RUN_CODE (code, logs, image, file_path) and RUN_SEARCH (file_citation), attachments      |
| THREAD_RELEASE      | RUN_INCOMPLETE, RUN_CANCELLED, RUN_FAILED_HALFWAY, then a completed run; combining marks |
| THREAD_JOURNAL      | 140 messages                                                                             |
| ASSISTANT_CONCIERGE | two functions                                                                            |
| ASSISTANT_SUPPORT   | two functions, one to be approved by a person                                            |
| ASSISTANT_ANALYST   | code_interpreter and file_search                                                         |
| ASSISTANT_WRITER    | no tools                                                                                 |

DEMO_CONVERSATIONS tell the same stories as the threads, as far as conversations can: the one of THREAD_REFUND ends with
a call without an output, messages have no metadata, and nothing expires.
"""

from functools import partial

from gateway.emulator.demo import analysis, demo_assistants, journal, release, support, trip
from gateway.emulator.demo.analysis import FILE_CHART, FILE_REPORT, RUN_CODE, RUN_SEARCH, THREAD_ANALYSIS
from gateway.emulator.demo.conversation_narrator import ConversationNarrator, conversation_id
from gateway.emulator.demo.demo_assistants import (
    ASSISTANT_ANALYST,
    ASSISTANT_CONCIERGE,
    ASSISTANT_SUPPORT,
    ASSISTANT_WRITER,
    FILE_HANDBOOK,
    FILE_SALES,
)
from gateway.emulator.demo.demo_files import add_demo_files
from gateway.emulator.demo.journal import THREAD_JOURNAL
from gateway.emulator.demo.narrator import BeginStory, Narrator
from gateway.emulator.demo.release import RUN_CANCELLED, RUN_FAILED_HALFWAY, RUN_INCOMPLETE, THREAD_RELEASE
from gateway.emulator.demo.support import FILE_TEAPOT, RUN_FAILED, RUN_WAITING, THREAD_REFUND, THREAD_SUPPORT
from gateway.emulator.demo.trip import THREAD_TRIP
from gateway.emulator.objects import Assistant
from gateway.emulator.state.store import Store

__all__ = [
    "ASSISTANT_ANALYST",
    "ASSISTANT_CONCIERGE",
    "ASSISTANT_SUPPORT",
    "ASSISTANT_WRITER",
    "DEMO_CONVERSATIONS",
    "DEMO_THREADS",
    "DEMO_UPLOADS",
    "FILE_CHART",
    "FILE_HANDBOOK",
    "FILE_REPORT",
    "FILE_SALES",
    "RUN_CANCELLED",
    "RUN_CODE",
    "RUN_FAILED",
    "RUN_FAILED_HALFWAY",
    "RUN_INCOMPLETE",
    "RUN_SEARCH",
    "RUN_WAITING",
    "THREAD_ANALYSIS",
    "THREAD_JOURNAL",
    "THREAD_REFUND",
    "THREAD_RELEASE",
    "THREAD_SUPPORT",
    "THREAD_TRIP",
    "seed_demo",
]

DEMO_THREADS = (THREAD_TRIP, THREAD_SUPPORT, THREAD_REFUND, THREAD_ANALYSIS, THREAD_RELEASE, THREAD_JOURNAL)
"""The ids of all threads of the demo."""

DEMO_UPLOADS = (FILE_TEAPOT, FILE_SALES)
"""The ids of the files that the user of the demo sent. The other files are the assistants', or made by runs."""

DEMO_CONVERSATIONS = tuple(conversation_id(thread_id) for thread_id in DEMO_THREADS)
"""The ids of all conversations of the demo."""

_DAY_SECONDS = 86_400


def seed_demo(store: Store, partition: str, now: float) -> None:
    """Add the demo to a partition, but only once: later changes and deletions stay. All times are before `now`."""
    with store.transaction():
        # Marked apart: databases of before have the threads, but not their files or the conversations.
        if store.mark_once(f"files:{partition}"):
            add_demo_files(store, partition, int(now - 90 * _DAY_SECONDS))
        created_at = int(now - 90 * _DAY_SECONDS)
        assistants = (
            demo_assistants.concierge(created_at),
            demo_assistants.analyst(created_at + 3600),
            demo_assistants.writer(created_at + 7200),
            demo_assistants.support(created_at + 10_800),
        )
        if store.mark_once(f"seeded:{partition}"):
            for assistant in assistants:
                store.assistants.add(partition, assistant)
            _tell_stories(partial(Narrator, store, partition), now, *assistants)
        if store.mark_once(f"conversations:{partition}"):
            _tell_stories(partial(ConversationNarrator, store, partition), now, *assistants)


def _tell_stories(
    begin: BeginStory, now: float, concierge: Assistant, analyst: Assistant, writer: Assistant, desk: Assistant
) -> None:
    journal.write_conversation(begin, now - journal.JOURNAL_DAYS * _DAY_SECONDS, writer)
    release.write_conversation(begin, now - 9 * _DAY_SECONDS, writer)
    analysis.write_conversation(begin, now - 5 * _DAY_SECONDS, analyst)
    support.write_teapot_conversation(begin, now - 2 * _DAY_SECONDS, desk)
    trip.write_conversation(begin, now - 1 * _DAY_SECONDS, concierge)
    support.write_refund_conversation(begin, now - 3600, desk)
