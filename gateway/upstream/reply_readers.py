"""Reads the body of a successful response into a wire object. Pure.

Tolerated: unknown fields, kinds and enum values, fields that are missing, null or unreadable, fractional times, a byte
order mark, `metadata_`. Not tolerated: a response that would make the gateway say something untrue.
"""

import json as standard_json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from gateway.upstream.rest_requests import PageKey
from gateway.upstream.safe_text import safe_text
from schema.contract.keys import ThreadKey, is_upstream_id
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import Window
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import Page, Timestamp

MAX_EXCERPT_LENGTH = 80
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MISSPELT_METADATA = b'"metadata_"'
_KINDS = frozenset(
    {"assistant", "list", "error", "thread", "thread.message", "thread.message.file", "thread.run", "thread.run.step"}
)
"""Every kind that an object of the API can be, without those that end in `.deleted` or `.delta`."""


class WireObject(Protocol):
    """The fields that every object of the API has."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> Timestamp: ...
    @property
    def object(self) -> str | None: ...


KeyT_contra = TypeVar("KeyT_contra", contravariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)
ValueT = TypeVar("ValueT")
ObjectT = TypeVar("ObjectT", bound=WireObject)


class UnexpectedReplyError(Exception):
    """A successful response with other content than expected.

    The message says what was expected and what was received.
    """

    def __init__(self, expected: str, got: str, *, cut_short: bool = False) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.cut_short = cut_short


class ReplyReader(Protocol[KeyT_contra, ValueT_co]):
    """Reads the body of a successful response. Raises `UnexpectedReplyError`."""

    def read_result(self, key: KeyT_contra, body: bytes) -> ValueT_co: ...


class _PageReply(Struct, Generic[ValueT]):
    """A list as servers send it, before it is checked. Servers leave out fields that they do not need.

    Without `data` nothing shows that this is a list, and an empty page would claim that there are no objects.
    """

    data: list[ValueT] | None
    object: str | None = None
    has_more: bool | None = None


class _SentItems(Struct):
    """The items of a list that has some, before they are read."""

    data: list[Raw]


_ITEMS = json.Decoder(_SentItems)


@dataclass(frozen=True)
class ObjectReader(Generic[ObjectT]):
    """Reads one object. Checks its kind, its thread, and that its id is the last part of the key."""

    wire_type: type[ObjectT]
    kind: str
    _decoder: TolerantDecoder[ObjectT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", TolerantDecoder(self.wire_type, self.kind))

    def read_result(self, key: tuple[str, ...], body: bytes) -> ObjectT:
        wire = decode_kind(self._decoder, self.kind, body)
        if wire.id != key[-1]:
            raise UnexpectedReplyError(f"the {self.kind} with id '{key[-1]}'", f"the one with id '{wire.id}'")
        check_thread(wire, key[0])
        return wire


@dataclass(frozen=True)
class CreatedReader(Generic[ObjectT]):
    """Reads an object that was just created. Only the upstream knows its id.

    If the key has a thread, the object has to be in it. `requires_thread_id`: the object has to have a thread id.
    """

    wire_type: type[ObjectT]
    kind: str
    requires_thread_id: bool = False
    _decoder: TolerantDecoder[ObjectT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", TolerantDecoder(self.wire_type, self.kind))

    def read_result(self, key: ThreadKey | None, body: bytes) -> ObjectT:
        wire = decode_kind(self._decoder, self.kind, body)
        check_id(wire.id, f"a {self.kind} object")
        if self.requires_thread_id and not _named_thread_id(wire):
            raise UnexpectedReplyError(f"a {self.kind} object with a 'thread_id'", f"none in {_excerpt(body)}")
        if key is not None:
            check_thread(wire, key.thread_id)
        return wire


@dataclass(frozen=True)
class DeletionReader:
    """Reads the response to a deletion. Any success means that the object is gone, unless the body contradicts.

    Servers respond with `deleted`, with a word of their own, with the deleted object, or with an empty body.
    """

    kind: str

    def read_result(self, key: tuple[str, ...], body: bytes) -> None:
        if not body.strip():
            return
        expected = f"that the {self.kind} with id '{key[-1]}' is deleted"
        try:
            parsed = json.decode(body.removeprefix(BYTE_ORDER_MARK))
        except (DecodeError, RecursionError):
            raise UnexpectedReplyError(expected, f"what is not JSON: {_excerpt(body)}") from None
        if not isinstance(parsed, dict):
            return
        if parsed.get("deleted") is False or parsed.get("error") or parsed.get("id", key[-1]) not in {key[-1], None}:
            raise UnexpectedReplyError(expected, _excerpt(body))


@dataclass(frozen=True)
class PageReader(Generic[ObjectT]):
    """Reads one page of a list and fits it to the requested window."""

    wire_type: type[ObjectT]
    kind: str
    _decoder: TolerantDecoder[_PageReply[ObjectT]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The wire type is known only at run time, so the type checker cannot follow.
        page_type = _PageReply[self.wire_type]  # type: ignore[name-defined]
        object.__setattr__(self, "_decoder", TolerantDecoder(page_type, f"list of {self.kind}"))

    def read_result(self, key: PageKey, body: bytes) -> Page[ObjectT]:
        expected = f"a list of {self.kind} objects"
        page = _decode(self._decoder, body, expected, within_data=True)
        check_kind(page.object, "list", expected)
        # Servers written in Go send null for an empty list.
        data = page.data or []
        has_more = page.has_more
        if has_more is None:
            has_more = len(data) >= key.window.limit or (bool(data) and _count_items(body) >= key.window.limit)
        if not all(is_upstream_id(wire.id) for wire in data):
            self._decoder.report("data[].id", "a text that cannot stand in a URL")
            data = [wire for wire in data if is_upstream_id(wire.id)] or data
            check_id(data[0].id, expected)
        fitted = fit_page(data, has_more, key.window)
        return leave_out_other_runs(fitted, key.run_id) if isinstance(key, MessagePageKey) and key.run_id else fitted


def fit_page(data: list[ObjectT], has_more: bool, window: Window) -> Page[ObjectT]:
    """Fit a page to its window, for servers that ignore `limit`, `order` or `after`.

    A complete list in the wrong order is reversed, and objects beyond the limit are cut off. If the page contains the
    object that it should start after, the objects up to that one are cut off. A page without objects ends its list, as
    in the official SDKs.

    Raises:
        UnexpectedReplyError: the page cannot be the requested one, since it is a part of a list in the wrong order.
    """
    start = next((position for position, wire in enumerate(data) if wire.id == window.after), None)
    if _is_in_opposite_order(data, window):
        if has_more and start is None:
            raise UnexpectedReplyError(f"a page in the order '{window.order}'", "one in the opposite order")
        data.reverse()
        has_more = False  # the page begins with the last object of the list
        start = None if start is None else len(data) - 1 - start
    if start is not None:
        data = data[start + 1 :]
    if len(data) > window.limit:
        return Page(data=data[: window.limit], has_more=True)
    return Page(data=data, has_more=has_more and bool(data))


def leave_out_other_runs(page: Page[Any], run_id: str) -> Page[Any]:
    """Leave out what one run did not write, for servers that ignore `run_id`.

    Some servers do not say which run wrote a message. Such messages are believed as long as the page shows nothing that
    the run cannot have written: no message of another run, and none of a user.
    """
    if all(message.run_id == run_id or (message.run_id is None and message.role != "user") for message in page.data):
        return page
    own = [message for message in page.data if message.run_id == run_id]
    return Page(data=own, has_more=page.has_more, read_until=page.data[-1].id)


def _is_in_opposite_order(data: list[ObjectT], window: Window) -> bool:
    """Tell whether a page is in the opposite order. A time of 0 is not known."""
    times = [wire.created_at for wire in (data[:1] + data[-1:])]
    return 0 not in times and times != sorted(times, reverse=window.backwards)


def check_id(wire_id: str, expected: str) -> None:
    """Refuse an id that no later request could use."""
    if not is_upstream_id(wire_id):
        raise UnexpectedReplyError(
            f"{expected} with ids that can stand in a URL's path", f"'{wire_id[:MAX_EXCERPT_LENGTH]}'"
        )


def check_kind(found: str | None, kind: str, expected: str) -> None:
    """Refuse what says that it is of another kind. An unknown word says nothing."""
    if found is not None and found != kind and (found in _KINDS or found.endswith((".deleted", ".delta"))):
        raise UnexpectedReplyError(expected, f"an object of kind '{found}'")


def decode_kind(decoder: TolerantDecoder[ObjectT], kind: str, body: bytes) -> ObjectT:
    """Decode an object that is of this kind, or names no kind or an unknown one.

    Raises:
        UnexpectedReplyError: the body holds something else.
    """
    wire = _decode(decoder, body, f"a {kind} object", within_data=False)
    check_kind(wire.object, kind, f"a {kind} object")
    return wire


def _named_thread_id(wire: object) -> str | None:
    return getattr(wire, "thread_id", None)


def check_thread(wire: WireObject, thread_id: str) -> None:
    """Refuse an object that names another thread. Most objects name no thread."""
    if (wire_thread_id := _named_thread_id(wire)) and wire_thread_id != thread_id:
        raise UnexpectedReplyError(f"what is in the thread '{thread_id}'", f"what is in the thread '{wire_thread_id}'")


def _count_items(body: bytes) -> int:
    """Count the items of a list as they were sent, with those that cannot be read."""
    return len(_ITEMS.decode(body.removeprefix(BYTE_ORDER_MARK)).data)


def _decode(decoder: TolerantDecoder[ValueT], body: bytes, expected: str, *, within_data: bool) -> ValueT:
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        if _MISSPELT_METADATA in body:
            body = json.encode(_each_object(json.decode(body), _with_metadata, within_data=within_data))
        return decoder.decode(body)
    except ValidationError as error:
        raise UnexpectedReplyError(expected, f"{_excerpt(body)} ({error})") from None
    except UnicodeDecodeError:
        raise UnexpectedReplyError(expected, f"what is not UTF-8: {_excerpt(body)}") from None
    except RecursionError:
        raise UnexpectedReplyError(expected, f"too deeply nested JSON: {_excerpt(body)}") from None
    except DecodeError as error:
        cut_short = bool(body) and "truncated" in str(error) and not _is_complete_json(body)
        problem = "JSON that was cut short" if cut_short else "what is not JSON"
        raise UnexpectedReplyError(expected, f"{problem}: {_excerpt(body)}", cut_short=cut_short) from None


def _each_object(parsed: Any, transform: Callable[[dict[str, Any]], dict[str, Any]], *, within_data: bool) -> Any:
    """Transform the single object of a body, or each object of its list."""
    if not isinstance(parsed, dict):
        return parsed
    if not within_data:
        return transform(parsed)
    data = parsed.get("data")
    if not isinstance(data, list):
        return parsed
    return parsed | {"data": [transform(item) if isinstance(item, dict) else item for item in data]}


def _with_metadata(wire: dict[str, Any]) -> dict[str, Any]:
    """Rename `metadata_` to `metadata`. Some servers send the name that they use in their own code."""
    if wire.get("metadata") is None and "metadata_" in wire:
        return wire | {"metadata": wire["metadata_"]}
    return wire


def _is_complete_json(body: bytes) -> bool:
    """Tell whether JSON is complete. msgspec also says "truncated" for half a surrogate pair at the end of a string."""
    try:
        standard_json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _excerpt(body: bytes) -> str:
    if not body:
        return "an empty body"
    shown = safe_text(body[:2000].decode("utf-8", "replace"), max_length=MAX_EXCERPT_LENGTH)
    return f"'{shown}'"
