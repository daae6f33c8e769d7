"""A plain model of records, which keeps all sightings and works out from them the answers of a store.

Threads, runs and messages have lives: what is seen of them depends only on the time. So sightings may come in any
order, any number of times. Each sighting knows its object's upstream times.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.ledger.sightings import RecordKey, RecordOwner, SeenMessage, SeenRun, SeenThread, Sighting
from schema.contract.keys import MessageKey
from schema.contract.statuses import is_terminal
from schema.contract.thread_records import RecordUpdate, ThreadRecord, TokenUsage
from tests.contracts.record_helpers import usage

SeenT = TypeVar("SeenT", SeenRun, SeenMessage)

ASSISTANTS = ("asst_1", "asst_2")

STATUSES = ["queued", "in_progress", "requires_action", "queued", "in_progress", "requires_action", "in_progress"]
"""The statuses of a run, each for three units of time. Then it ends."""

ENDS = {"run_0": "completed", "run_1": "failed", "run_2": "expired"}

TEXTS = {"msg_0": ("alpha beta", "delta"), "msg_1": ("beta Gamma", "beta Gamma"), "msg_2": ("ÉPSILON", "alpha")}
"""The texts of messages, before and after they are changed at the time 10."""

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "eps", "beta gam", "title"]


def see_run(key: RecordKey, run_id: str, at_ms: int) -> SeenRun:
    """See a run at a time."""
    number = int(run_id[-1])
    assistant_id = ASSISTANTS[number % 2]
    common: dict[str, Any] = {"created_at_ms": number, "expires_at_ms": 1000, "assistant_id": assistant_id}
    if at_ms // 3 < len(STATUSES) - number:
        return SeenRun(key, run_id, STATUSES[at_ms // 3], at_ms, **common)
    ended_at_ms = 3 * (len(STATUSES) - number)
    counted = usage(10 + number, 5, cached=number or None)
    return SeenRun(key, run_id, ENDS[run_id], at_ms, ended_at_ms=ended_at_ms, usage=counted, **common)


def see_message(key: RecordKey, message_id: str, at_ms: int) -> SeenMessage:
    """See a message at a time. The first one is known as such."""
    number = int(message_id[-1])
    return SeenMessage(key, message_id, at_ms, 2 + number, TEXTS[message_id][at_ms >= 10], is_first=number == 0)


def see_thread(key: RecordKey, at_ms: int, *, opened: bool) -> SeenThread:
    """See a thread at a time, with the text of its first message or without."""
    return SeenThread(key, at_ms, 1, opening=TEXTS["msg_0"][0] if opened else None)


@dataclass
class ModelRecord:
    """All that was seen of a thread in the name of an owner."""

    created_at_ms: int
    active_at_ms: int
    given_title: str | None = None
    is_archived: bool = False
    opening: str | None = None
    runs: dict[str, list[SeenRun]] = field(default_factory=lambda: defaultdict(list))
    messages: dict[str, list[SeenMessage]] = field(default_factory=lambda: defaultdict(list))
    titling: dict[str, list[SeenMessage]] = field(default_factory=lambda: defaultdict(list))

    @property
    def first_message_id(self) -> str | None:
        """The message that gives the title: empty for the opening."""
        if "msg_0" in self.titling or self.opening is None:
            return min(self.titling, default=None)
        return ""

    @property
    def title(self) -> str | None:
        """The title that is shown."""
        if self.given_title is not None or self.first_message_id is None:
            return self.given_title
        return latest(self.titling[self.first_message_id]).text if self.first_message_id else self.opening

    @property
    def ended(self) -> dict[str, SeenRun]:
        """The runs that were seen at their end."""
        ends = ((run_id, latest(seen)) for run_id, seen in self.runs.items())
        return {run_id: seen for run_id, seen in ends if is_terminal(seen.status)}

    @property
    def texts(self) -> list[str]:
        """All texts that a search finds."""
        texts = [self.title or "", *(latest(seen).text or "" for seen in self.messages.values())]
        return [text.lower().replace("é", "e") for text in texts]


class RecordModel:
    """The records of all owners."""

    def __init__(self) -> None:
        self.records: dict[RecordKey, ModelRecord] = {}
        self._removed_threads: set[str] = set()
        self._removed_messages: set[MessageKey] = set()

    def see(self, seen: Sighting) -> None:
        """Keep a sighting."""
        thread_id = seen.key.thread_id
        if thread_id in self._removed_threads:
            return
        if isinstance(seen, SeenMessage) and MessageKey(thread_id, seen.message_id) in self._removed_messages:
            return
        assert seen.created_at_ms is not None
        record = self.records.setdefault(seen.key, ModelRecord(seen.created_at_ms, seen.created_at_ms))
        record.created_at_ms = min(record.created_at_ms, seen.created_at_ms)
        record.active_at_ms = max(record.active_at_ms, seen.created_at_ms)
        if isinstance(seen, SeenRun):
            record.runs[seen.run_id].append(seen)
            record.active_at_ms = max(record.active_at_ms, seen.ended_at_ms or 0)
        elif isinstance(seen, SeenMessage):
            record.messages[seen.message_id].append(seen)
            record.titling[seen.message_id].append(seen)
        elif not any(key.thread_id == thread_id for key in self._removed_messages):
            record.opening = seen.opening or record.opening

    def update(self, key: RecordKey, update: RecordUpdate) -> None:
        """Make a change that was asked for."""
        record = self.records.get(key)
        if record is not None and isinstance(update.is_archived, bool):
            record.is_archived = update.is_archived
        if record is not None and (update.title is None or isinstance(update.title, str)):
            record.given_title = update.title

    def remove_thread(self, thread_id: str) -> None:
        """Forget a thread."""
        self._removed_threads.add(thread_id)
        self.records = {key: record for key, record in self.records.items() if key.thread_id != thread_id}

    def remove_message(self, message: MessageKey) -> None:
        """Forget a message. Without the message that gave the title, there is none until one is seen again."""
        self._removed_messages.add(message)
        for key, record in self.records.items():
            if key.thread_id == message.thread_id:
                record.messages.pop(message.message_id, None)
                if record.first_message_id in {message.message_id, ""}:
                    record.titling.clear()
                    record.opening = None
                record.titling.pop(message.message_id, None)

    def move(self, thread_id: str, owner: RecordOwner) -> None:
        """Give a thread to an owner."""
        target = RecordKey(owner, thread_id)
        for key in [key for key in self.records if key.thread_id == thread_id and key != target]:
            moved = self.records.pop(key)
            record = self.records.setdefault(target, moved)
            if record is moved:
                continue
            record.created_at_ms = min(record.created_at_ms, moved.created_at_ms)
            record.active_at_ms = max(record.active_at_ms, moved.active_at_ms)
            record.given_title = moved.given_title if record.given_title is None else record.given_title
            record.opening = record.opening or moved.opening
            for run_id, runs in moved.runs.items():
                record.runs[run_id] += runs
            for message_id, messages in moved.messages.items():
                record.messages[message_id] += messages
            for message_id, messages in moved.titling.items():
                record.titling[message_id] += messages

    def list_records(self, owner: RecordOwner) -> list[ThreadRecord]:
        """List the records of an owner, the latest activity first."""
        listed = [
            ThreadRecord(
                key.thread_id,
                record.created_at_ms,
                record.active_at_ms,
                record.title,
                record.is_archived,
                sum_tokens(record.ended.values()),
            )
            for key, record in self.records.items()
            if key.owner == owner
        ]
        return sorted(listed, key=lambda record: (record.last_activity_at_ms, record.thread_id), reverse=True)

    def list_waiting(self, owner: RecordOwner) -> set[tuple[str, str]]:
        """List the runs that wait."""
        return {
            (key.thread_id, run_id)
            for key, record in self.records.items()
            if key.owner == owner
            for run_id, seen in record.runs.items()
            if latest(seen).status == "requires_action"
        }

    def get_usage(self, owner: RecordOwner, since_ms: int, until_ms: int) -> TokenUsage:
        """Sum up the tokens of runs that ended in this time."""
        return sum_tokens(
            run
            for key, record in self.records.items()
            if key.owner == owner
            for run in record.ended.values()
            if since_ms <= (run.ended_at_ms or 0) < until_ms
        )

    def search(self, owner: RecordOwner, text: str) -> set[str]:
        """Find the threads of which one text has all words, the last one perhaps as the beginning of a word."""
        *words, last = text.split()
        return {
            key.thread_id
            for key, record in self.records.items()
            if key.owner == owner
            for found in (each.split() for each in record.texts)
            if set(words) <= set(found) and any(word.startswith(last) for word in found)
        }

    def list_of_assistant(self, owner: RecordOwner, assistant_id: str) -> set[str]:
        """Find the threads with a run of an assistant."""
        return {
            key.thread_id
            for key, record in self.records.items()
            if key.owner == owner and any(seen[0].assistant_id == assistant_id for seen in record.runs.values())
        }


def latest(seen: list[SeenT]) -> SeenT:
    """Return the latest state, whenever it came."""
    return max(seen, key=lambda each: each.seen_at_ms)


def sum_tokens(runs: Iterable[SeenRun]) -> TokenUsage:
    """Sum up the tokens of runs."""
    used = [run.usage for run in runs if run.usage is not None]
    cached = [each.cached_tokens for each in used if each.cached_tokens is not None]
    prompt, completion = sum(each.prompt_tokens for each in used), sum(each.completion_tokens for each in used)
    return TokenUsage(prompt, completion, prompt + completion, sum(cached) if cached else None)
