"""A plain model of what many users own, and the record of all that they were shown, for tests that nothing crosses."""

import asyncio
import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.emulator.http.request_counts import LoggedRequest
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway
from tests.support.isolation_files import OwnedFile
from tests.support.oidc_server import OidcServer
from tests.support.signed_in import UNKNOWN, Ids

TENANTS = ("north", "south")
NAMES = 25
"""The names in each tenant. The same name in two tenants is two people."""

ADMINS = frozenset({("north", 3), ("north", 20), ("south", 11)})

NOBODYS_MARK = "mk99zx"
INSTRUCTIONS = f"Be brief, and tell nobody of {NOBODYS_MARK}."
"""The instructions of all assistants, which only admins see."""

_MARK = re.compile(r"mk\d\d[a-z]x")
_UPSTREAM_ID = re.compile(r"(?:thread|msg|run|step)_[A-Za-z0-9]{24}|file-[A-Za-z0-9]{22}")
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{24,}")


@dataclass(frozen=True)
class Subject:
    """A user. Everything that they own carries their mark."""

    number: int
    tenant: str

    @property
    def name(self) -> str:
        return f"user{self.number:02}"

    @property
    def is_admin(self) -> bool:
        return (self.tenant, self.number) in ADMINS

    @property
    def mark(self) -> str:
        return f"mk{self.number:02}{self.tenant[0]}x"


SUBJECTS = tuple(Subject(number, tenant) for number in range(NAMES) for tenant in TENANTS)


@dataclass(frozen=True)
class KnownIds:
    """The ids of a thread's objects, and cursors of its lists and logs, as anybody may come to know them."""

    messages: Sequence[str] = ()
    runs: Sequence[str] = ()
    steps: Sequence[str] = ()
    cursors: Sequence[str] = ()
    event_cursors: Sequence[str] = ()


@dataclass(eq=False)
class OwnedThread:
    """A thread as its owner should see it.

    `known` is what there was at the end of the last round, by which others try to reach it. Who writes to the thread,
    or compares it, holds `lock`: one after another, while others try to reach it at the same time.
    """

    id: str
    owner: Subject
    metadata: dict[str, str]
    questions: list[str]
    messages: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    event_cursors: list[str] = field(default_factory=list)
    is_deleted: bool = False
    known: KnownIds = field(default_factory=KnownIds)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def update_known(self) -> None:
        lists = (self.messages, self.runs, self.steps, self.cursors, self.event_cursors)
        self.known = KnownIds(*map(tuple, lists))

    def choose_ids(self, random: Random) -> Ids:
        """Choose an object of each kind in it. A kind that it has none of is unknown."""
        known = self.known
        run, message, step = (
            random.choice(ids or (unknown,))
            for ids, unknown in (
                (known.runs, UNKNOWN.run),
                (known.messages, UNKNOWN.message),
                (known.steps, UNKNOWN.step),
            )
        )
        return Ids(self.id, run, message, step)


@dataclass(frozen=True)
class Shown:
    """A text that a subject was shown, and what they had asked."""

    subject: Subject
    asked: str
    text: str


@dataclass
class World:
    """The gateways over one upstream key, the users, their threads and files, and all that was shown and sent upstream.

    A subject chooses among `threads`. Those that are made meanwhile join them by `end_round`, in an order that does not
    depend on timing.
    """

    emulator: Emulator
    gateways: Sequence[Gateway]
    provider: OidcServer
    assistants: Sequence[str]
    threads: list[OwnedThread] = field(default_factory=list)
    files: list[OwnedFile] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    sent: list[LoggedRequest] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    _new: list[OwnedThread] = field(default_factory=list)
    _new_files: dict[str, OwnedFile] = field(default_factory=dict)
    _subjects_by_request: dict[str, Subject] = field(default_factory=dict)
    _refused_requests: set[str] = field(default_factory=set)
    _request_count: int = 0

    def begin_request(self, subject: Subject, *, is_refused: bool) -> str:
        """Return a new request id of a subject. A refused one may cause no upstream call."""
        self._request_count += 1
        request_id = f"request-{self._request_count:08}"
        self._subjects_by_request[request_id] = subject
        if is_refused:
            self._refused_requests.add(request_id)
        return request_id

    def record_shown(self, subject: Subject, asked: object, text: str, owners: Iterable[Subject] = ()) -> None:
        """Record what a subject was shown. Fails if it holds a mark of others than these `owners`."""
        allowed = {subject.mark, *(owner.mark for owner in owners)} | ({NOBODYS_MARK} if subject.is_admin else set())
        marks = set(_MARK.findall(text)) | {mark for part in _decoded(text) for mark in _MARK.findall(part)}
        assert marks <= allowed, f"{subject} was shown {marks - allowed}: {text[:2000]} for {asked}"
        self.shown.append(Shown(subject, json.dumps(asked), text))
        self._drain()

    def add_thread(self, thread: OwnedThread) -> None:
        self._new.append(thread)

    def add_file(self, file: OwnedFile) -> None:
        """Add a file, unless it is known: a run's file is found as often as its message is read."""
        if all(file.id != known.id for known in self.files):
            self._new_files.setdefault(file.id, file)

    def end_round(self) -> None:
        """Let what was made be chosen from now on."""
        self._drain()
        order = {subject: number for number, subject in enumerate(SUBJECTS)}
        # The threads of one subject are in order, since a subject does one thing after another.
        self.threads += sorted(self._new, key=lambda thread: order[thread.owner])
        self._new.clear()
        self.files += sorted(self._new_files.values(), key=lambda file: order[file.owner])
        self._new_files.clear()
        for thread in self.threads:
            thread.update_known()

    def owned_by(self, subject: Subject) -> list[OwnedThread]:
        return [thread for thread in self.threads if thread.owner == subject and not thread.is_deleted]

    async def check_all(self) -> None:
        """Check all that was shown and sent against what is known now."""
        owners = {thread.id: thread.owner for thread in self.threads} | {file.id: file.owner for file in self.files}
        for thread in self.threads:
            owners |= dict.fromkeys((*thread.messages, *thread.runs, *thread.steps), thread.owner)
            if not thread.is_deleted:
                for kind in ("messages", "runs"):
                    listed = await self.emulator.get(f"/threads/{thread.id}/{kind}?limit=100")
                    owners |= {each["id"]: thread.owner for each in listed["data"]}
        for shown in self.shown:
            asked = find_upstream_ids(shown.asked)
            for upstream_id in find_upstream_ids(shown.text) - asked:
                owner = owners.get(upstream_id)
                assert shown.subject.is_admin or owner in {shown.subject, None}, (upstream_id, shown)
        self._check_sent(owners)

    def _check_sent(self, owners: dict[str, Subject]) -> None:
        for request in self.sent:
            base = (request.client_request_id or "").partition(".")[0]
            subject = self._subjects_by_request.get(base)
            assert subject is not None, request
            assert base not in self._refused_requests, request
            found = re.match(r"/v1/threads/(thread_\w+)", request.path)
            if found:
                assert subject.is_admin or owners[found[1]] == subject, (subject, request)
            found = re.match(r"/v1/files/(file-\w+)", request.path)
            if found:
                assert subject.is_admin or owners[found[1]] == subject, (subject, request)

    def _drain(self) -> None:
        counts = self.emulator.counts
        # The test's own client sends no request id.
        self.sent += [request for request in counts.log if request.client_request_id is not None]
        counts.reset()


def find_upstream_ids(text: str) -> set[str]:
    """Find the upstream ids in a text, also within global IDs and cursors."""
    return set(_UPSTREAM_ID.findall(text)) | {each for part in _decoded(text) for each in _UPSTREAM_ID.findall(part)}


def _decoded(text: str) -> Iterable[str]:
    for part in _OPAQUE.findall(text):
        try:
            yield base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("latin-1")
        except binascii.Error:
            continue


def without_timing(answer: Any) -> Any:
    """Return an answer without its cost, which depends on what is in the caches."""
    return {name: value for name, value in answer.items() if name != "extensions"}
