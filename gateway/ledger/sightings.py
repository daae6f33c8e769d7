"""Sightings: the facts of threads, runs and messages that pass through the gateway and become records.

They may come late, twice and in any order. `seen_at_ms` is the time, by the gateway's clock, when the upstream showed
the object in this state. Times of the upstream that are not known are None.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from gateway.identity.principal import Owner
from schema.contract.thread_records import TokenUsage


class CredentialOwner(NamedTuple):
    """The owner of records in pass-through: the holder of a credential, by the principal's digest.

    The digest should be that of the lasting upstream, so that another version of the API is no other owner.
    """

    digest: str


RecordOwner: TypeAlias = Owner | CredentialOwner
"""The one whose list a record is in. Threads of signed-in users are theirs by the ledger, and nobody else's."""


class RecordKey(NamedTuple):
    """Identity of a record. Holders of two credentials may each have a record of one thread."""

    owner: RecordOwner
    thread_id: str


class RunRecordKey(NamedTuple):
    """Identity of the record of a run."""

    key: RecordKey
    run_id: str


class GivenTitle(NamedTuple):
    """A title that somebody gave a thread while creating it, and when."""

    title: str
    given_at_ms: int


class SeenThread(NamedTuple):
    """A thread that exists.

    Attributes:
        key: The record.
        seen_at_ms: The time when it was seen.
        created_at_ms: The upstream's time of its creation.
        title: The title with which it was created.
        opening: The text of the first message with which it was created, whose id is not known.
    """

    key: RecordKey
    seen_at_ms: int
    created_at_ms: int | None = None
    title: GivenTitle | None = None
    opening: str | None = None


class SeenRun(NamedTuple):
    """A state of a run.

    Attributes:
        key: The record of its thread.
        run_id: The upstream's id of the run.
        status: The upstream's word.
        seen_at_ms: The time when it was seen.
        created_at_ms: The upstream's time of its creation.
        ended_at_ms: The upstream's time of its end, in a terminal status. If it is None, `seen_at_ms` stands for it.
        expires_at_ms: The upstream's time when it will expire. From then on it waits no longer.
        assistant_id: The upstream's id of its assistant.
        usage: The tokens that it used. Those of a run that goes on are counted when it ends.
    """

    key: RecordKey
    run_id: str
    status: str
    seen_at_ms: int
    created_at_ms: int | None = None
    ended_at_ms: int | None = None
    expires_at_ms: int | None = None
    assistant_id: str | None = None
    usage: TokenUsage | None = None


class SeenMessage(NamedTuple):
    """A state of a message.

    Attributes:
        key: The record of its thread.
        message_id: The upstream's id of the message.
        seen_at_ms: The time when it was seen.
        created_at_ms: The upstream's time of its creation.
        text: All of its text, of which only the words are stored. None leaves the text that was seen before.
        is_first: Whether it is known to be the thread's first message, as the upstream lists them.
    """

    key: RecordKey
    message_id: str
    seen_at_ms: int
    created_at_ms: int | None = None
    text: str | None = None
    is_first: bool = False


Sighting: TypeAlias = SeenThread | SeenRun | SeenMessage
