"""From the body of a successful answer to the wire object asked for, or to why it is none. Pure.

What is tolerated: fields, kinds and enum values that nobody knows, optional keys that are missing or null, lists that
are null, fractional times, a byte order mark, `metadata_`. What is not: an answer that would make the gateway say
something untrue.
"""

import json as standard_json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import UNSET, DecodeError, Struct, UnsetType, ValidationError, json

from gateway.upstream.rest_requests import Paged
from gateway.upstream.safe_text import safe_text
from schema.contract.keys import ThreadKey, is_upstream_id
from schema.contract.paging import Window
from schema.contract.wire import Page, Timestamp

MAX_EXCERPT_LENGTH = 80
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MISSPELT = b'"metadata_"'


class WireObject(Protocol):
    """What every object of the API has."""

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
    """A successful answer that is not what was asked for: what was expected and what came."""

    def __init__(self, expected: str, got: str, *, cut_short: bool = False) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.cut_short = cut_short


class ReplyReader(Protocol[KeyT_contra, ValueT_co]):
    """Reads the body of a successful answer; raises `UnexpectedReplyError`."""

    def read(self, key: KeyT_contra, body: bytes) -> ValueT_co: ...


class _PageReply(Struct, Generic[ValueT]):
    """A list reply before it is judged: servers leave out what they do not need."""

    data: list[ValueT] | UnsetType | None = UNSET
    object: str | None = None
    has_more: bool | None = None


@dataclass(frozen=True)
class ObjectReader(Generic[ObjectT]):
    """Reads one object, of the expected kind, of the key's thread, and with the id that its key ends with."""

    wire_type: type[ObjectT]
    kind: str
    _decoder: json.Decoder[ObjectT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", json.Decoder(self.wire_type))

    def read(self, key: tuple[str, ...], body: bytes) -> ObjectT:
        found = decode_kind(self._decoder, self.kind, body)
        if found.id != key[-1]:
            raise UnexpectedReplyError(f"the {self.kind} with id '{key[-1]}'", f"the one with id '{found.id}'")
        check_thread(found, key[0])
        return found


@dataclass(frozen=True)
class CreatedReader(Generic[ObjectT]):
    """Reads an object that was just made, in the key's thread where there is one; only the upstream knows its id.

    `names_thread`: the object has to say which thread it is in.
    """

    wire_type: type[ObjectT]
    kind: str
    names_thread: bool = False
    _decoder: json.Decoder[ObjectT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoder", json.Decoder(self.wire_type))

    def read(self, key: ThreadKey | None, body: bytes) -> ObjectT:
        made = decode_kind(self._decoder, self.kind, body)
        check_id(made.id, f"a {self.kind} object")
        if self.names_thread and not _thread_of(made):
            raise UnexpectedReplyError(f"a {self.kind} object with a 'thread_id'", f"none in {_excerpt(body)}")
        if key is not None:
            check_thread(made, key.thread_id)
        return made


@dataclass(frozen=True)
class DeletionReader:
    """Reads that an object is gone: any success says so, unless its body says something else.

    Servers answer with `deleted`, with a word of their own, with the object that was, or with nothing.
    """

    kind: str

    def read(self, key: tuple[str, ...], body: bytes) -> None:
        if not body.strip():
            return
        expected = f"that the {self.kind} with id '{key[-1]}' is deleted"
        try:
            said = json.decode(body.removeprefix(_BYTE_ORDER_MARK))
        except (DecodeError, RecursionError):
            raise UnexpectedReplyError(expected, f"what is not JSON: {_excerpt(body)}") from None
        if not isinstance(said, dict):
            return
        if said.get("deleted") is False or said.get("error") or said.get("id", key[-1]) not in {key[-1], None}:
            raise UnexpectedReplyError(expected, _excerpt(body))


@dataclass(frozen=True)
class PageReader(Generic[ObjectT]):
    """Reads one page of a list and holds it to the window that was asked for."""

    wire_type: type[ObjectT]
    kind: str
    _decoder: json.Decoder[_PageReply[ObjectT]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The wire type is only known here, so the type checker cannot follow.
        object.__setattr__(self, "_decoder", json.Decoder(_PageReply[self.wire_type]))  # type: ignore[name-defined]

    def read(self, key: Paged, body: bytes) -> Page[ObjectT]:
        expected = f"a list of {self.kind} objects"
        reply = _decode(self._decoder, body, expected, within_data=True)
        if reply.object is not None and reply.object != "list":
            raise UnexpectedReplyError(expected, f"an object of kind '{reply.object}'")
        if reply.data is UNSET:
            # Nothing says that this is a list at all; an empty page would claim that there are no objects.
            raise UnexpectedReplyError(expected, f"no 'data' in {_excerpt(body)}")
        # Servers written in Go send an empty list as null.
        data = reply.data or []
        for found in data:
            if not is_upstream_id(found.id):
                check_id(found.id, expected)
        return fit_page(data, reply.has_more, key.window)


def fit_page(data: list[ObjectT], has_more: bool | None, window: Window) -> Page[ObjectT]:
    """Hold a page to its window, for servers that ignore `limit`, `order` or `after`, or leave `has_more` out.

    A whole list in the wrong order is turned round, and what is too much is cut off. Raises `UnexpectedReplyError`
    where the page cannot be what was asked for: a part of a list in the wrong order, or one that has the object that
    it should begin after. An empty page ends its list, as it does in the official SDKs.
    """
    if not data:
        return Page(data=[], has_more=False)
    if has_more is None:
        has_more = len(data) >= window.limit
    first, last = (data[-1], data[0]) if window.backwards else (data[0], data[-1])
    if first.created_at > last.created_at:
        if has_more or window.after is not None:
            raise UnexpectedReplyError(f"a page in the order '{window.order}'", "one in the opposite order")
        data.reverse()
    if window.after is not None and any(found.id == window.after for found in data):
        raise UnexpectedReplyError(f"a page after the object '{window.after}'", "one that contains it")
    if len(data) > window.limit:
        return Page(data=data[: window.limit], has_more=True)
    return Page(data=data, has_more=has_more)


def check_id(found: str, expected: str) -> None:
    """Refuse what nobody could ask for by its id afterwards."""
    if not is_upstream_id(found):
        raise UnexpectedReplyError(
            f"{expected} with ids that can stand in a URL's path", f"'{found[:MAX_EXCERPT_LENGTH]}'"
        )


def decode_kind(decoder: json.Decoder[ObjectT], kind: str, body: bytes) -> ObjectT:
    """Decode an object that is of this kind or says nothing of its own; raises `UnexpectedReplyError`."""
    """Decode an object that is of this kind or says nothing of its own; raises `UnexpectedReplyError`."""
    found = _decode(decoder, body, f"a {kind} object", within_data=False)
    if found.object is not None and found.object != kind:
        raise UnexpectedReplyError(f"an object of kind '{kind}'", f"one of kind '{found.object}'")
    return found


def _thread_of(found: object) -> str | None:
    return getattr(found, "thread_id", None)


def check_thread(found: WireObject, thread_id: str) -> None:
    """Refuse what says that it is in another thread; most objects say nothing of theirs."""
    if (named := _thread_of(found)) and named != thread_id:
        raise UnexpectedReplyError(f"what is in the thread '{thread_id}'", f"what is in the thread '{named}'")


def _decode(decoder: json.Decoder[ValueT], body: bytes, expected: str, *, within_data: bool) -> ValueT:
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        if _MISSPELT in body:
            body = json.encode(_each_object(json.decode(body), _with_metadata, within_data=within_data))
        try:
            return decoder.decode(body)
        except ValidationError:
            # Rare, so it may cost: the same once more with every null of an object left out.
            return decoder.decode(json.encode(_each_object(json.decode(body), _without_nulls, within_data=within_data)))
    except ValidationError as error:
        raise UnexpectedReplyError(expected, f"{_excerpt(body)} ({error})") from None
    except UnicodeDecodeError:
        raise UnexpectedReplyError(expected, f"what is not UTF-8: {_excerpt(body)}") from None
    except RecursionError:
        raise UnexpectedReplyError(expected, f"too deeply nested JSON: {_excerpt(body)}") from None
    except DecodeError as error:
        cut_short = bool(body) and "truncated" in str(error) and not _is_whole(body)
        what = "JSON that was cut short" if cut_short else "what is not JSON"
        raise UnexpectedReplyError(expected, f"{what}: {_excerpt(body)}", cut_short=cut_short) from None


def _each_object(parsed: Any, change: Callable[[dict[str, Any]], dict[str, Any]], *, within_data: bool) -> Any:
    """Change a reply's object, or each object of its list."""
    if not isinstance(parsed, dict):
        return parsed
    if not within_data:
        return change(parsed)
    data = parsed.get("data")
    if not isinstance(data, list):
        return parsed
    return parsed | {"data": [change(listed) if isinstance(listed, dict) else listed for listed in data]}


def _without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out the keys that are null, so that null and missing mean the same where a type says so."""
    return {
        name: _without_nulls(value) if name in _PARTS_WITH_COUNTERS and isinstance(value, dict) else value
        for name, value in found.items()
        if value is not None
    }


def _with_metadata(found: dict[str, Any]) -> dict[str, Any]:
    """Give `metadata_` its name, which some servers take from their own programs."""
    if found.get("metadata") is None and "metadata_" in found:
        return found | {"metadata": found["metadata_"]}
    return found


_PARTS_WITH_COUNTERS = {"usage", "truncation_strategy"}


def _is_whole(body: bytes) -> bool:
    """Tell whether JSON is complete; msgspec says "truncated" of half a surrogate pair at a string's end too."""
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
