"""Decodes JSON into wire objects so that one bad field costs only itself. Pure, but for one warning in the log.

JSON of the expected shape is decoded in one strict pass. Only if that fails, the object is decoded again field by
field. Then a field that cannot be read gets its default. A list keeps the items that can be read. Where raw parts are
listed, any other value becomes the only part, so that its JSON is not lost. An empty object counts as an empty list,
because proxies written in PHP or Lua cannot tell the two apart. Null and missing mean the same.
"""

from __future__ import annotations

import json as standard_json
import logging
import math
import re
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT, DecodeError, Raw, Struct, ValidationError, json, structs

_logger = logging.getLogger(__name__)

ObjectT = TypeVar("ObjectT")

_FIELDS = json.Decoder(dict[str, Raw])
_ITEMS = json.Decoder(list[Raw])
_EMPTY = re.compile(rb"(?:\{\s*\}|\"\"|0|false)\Z")
_JSON_KINDS = {b"{": "an object", b"[": "a list", b'"': "a text", b"t": "a boolean", b"f": "a boolean"}
_HALF_SURROGATES = re.compile(r"[\ud800-\udfff]")


class TolerantDecoder(Generic[ObjectT]):
    """Decodes one type. `kind` names it in the log, which tells of each unreadable field once and never its content.

    `strict` is that of msgspec: if it is false, `4.0` is an integer and `"4"` a number.
    """

    def __init__(self, wire_type: type[ObjectT], kind: str, *, strict: bool = True) -> None:
        self._wire_type: Any = wire_type
        self._kind = kind
        self._strict = strict
        self._decoder = json.Decoder(wire_type, strict=strict)
        self._decoders: dict[Any, json.Decoder[Any]] = {}
        self._reported: set[tuple[str, str]] = set()

    def decode(self, data: bytes | Raw) -> ObjectT:
        """Decode an object.

        Raises:
            ValidationError: the JSON is no object of this type, or lacks a field without a default.
            DecodeError: the data is not JSON.
        """
        try:
            return self._decoder.decode(data)
        except ValidationError as error:
            try:
                decoded: ObjectT = self._read(self._wire_type, bytes(data).strip(), "")
            except ValidationError:
                raise error from None
            return decoded

    def decode_part(self, raw: Raw) -> ObjectT | None:
        """Decode a raw part of an object. Returns None if it has no known shape."""
        try:
            return self.decode(raw)
        except (ValidationError, RecursionError):
            return None
        except (DecodeError, UnicodeDecodeError):
            return self.decode_part(Raw(json.encode(parse_raw(raw))))

    def report(self, path: str, found: str) -> None:
        """Log once that the field at `path` is left out, because a value of the kind `found` cannot be read there.

        Names that the upstream's users chose, and all content, stay out of the log.
        """
        if (path, found) in self._reported:
            return
        self._reported.add((path, found))
        _logger.warning("The field %r of a %s could not be read and is left out: it was %s.", path, self._kind, found)

    def _report_unreadable(self, path: str, data: bytes | Raw) -> None:
        start = bytes(data)[:1]
        if start != b"n":  # null means the same as missing
            self.report(path, _JSON_KINDS.get(start, "a number"))

    def _read(self, expected: Any, data: bytes | Raw, path: str) -> Any:
        """Read a value of this type. Raises `ValidationError` if nothing of it can be read."""
        decoder = self._decoders.get(expected)
        if decoder is None:
            decoder = self._decoders[expected] = json.Decoder(expected, strict=self._strict)
        try:
            return decoder.decode(data)
        except ValidationError:
            start = bytes(data)[:1]
            for member in _union_members(expected):
                origin = get_origin(member) or member
                if origin is list and start != b"n":
                    return self._read_list(get_args(member)[0], data, path)
                if origin is dict and start == b"{":
                    return self._read_values(get_args(member)[1], data, path)
                if start == b"{" and isinstance(origin, type) and issubclass(origin, Struct):
                    return self._read_struct(member, data, path)
            raise

    def _read_struct(self, struct: Any, data: bytes | Raw, path: str) -> Any:
        sent = _FIELDS.decode(data)
        known = {}
        for field in structs.fields(struct):
            value = sent.get(field.encode_name)
            if value is None:
                continue
            field_path = f"{path}.{field.encode_name}" if path else field.encode_name
            try:
                known[field.name] = self._read(field.type, value, field_path)
            except ValidationError:
                if field.default is NODEFAULT and field.default_factory is NODEFAULT:
                    raise
                self._report_unreadable(field_path, value)
        try:
            return (get_origin(struct) or struct)(**known)
        except TypeError as error:  # a field without a default is missing
            raise ValidationError(str(error)) from None

    def _read_list(self, item_type: Any, data: bytes | Raw, path: str) -> list[Any]:
        if not bytes(data).startswith(b"["):
            if item_type is not Raw and not _EMPTY.match(bytes(data)):
                raise ValidationError("Expected a list")
            self._report_unreadable(path, data)
            return [] if _EMPTY.match(bytes(data)) else [Raw(bytes(data))]
        items = []
        first_error: ValidationError | None = None
        for item in _ITEMS.decode(data):
            try:
                items.append(self._read(item_type, item, f"{path}[]"))
            except ValidationError as error:
                self._report_unreadable(f"{path}[]", item)
                if _has_defaults(item_type):
                    items.append(item_type())
                first_error = first_error or error
        if first_error is not None and not items:
            raise first_error  # a list of something else
        return items

    def _read_values(self, value_type: Any, data: bytes | Raw, path: str) -> dict[str, Any]:
        values = {}
        for name, value in _FIELDS.decode(data).items():
            try:
                values[name] = self._read(value_type, value, f"{path}.*")
            except ValidationError:
                self._report_unreadable(f"{path}.*", value)
        return values


def parse_raw(raw: Raw) -> Any:
    """Parse a raw part.

    The pass over an object does not look into its raw parts. There, characters that are no UTF-8 and halves of
    surrogate pairs become U+FFFD, a number that no float can hold becomes null, and an invalid escape or brackets that
    are nested a thousand deep make the part a text.
    """
    try:
        return json.decode(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        text = bytes(raw).decode("utf-8", "replace")
    try:
        parsed = standard_json.loads(text, strict=False, parse_float=_finite_or_none)
    except (ValueError, RecursionError):
        return text
    return json.decode(_HALF_SURROGATES.sub("\ufffd", standard_json.dumps(parsed, ensure_ascii=False)).encode())


def text_from_json(value: Any) -> str:
    """Return a text as it is, the JSON text of any other value, and no text for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.encode(value).decode()


def _finite_or_none(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _union_members(expected: Any) -> tuple[Any, ...]:
    return get_args(expected) if get_origin(expected) in {Union, UnionType} else (expected,)


def _has_defaults(item_type: Any) -> bool:
    """Return whether an item of which nothing can be read can be shown as one of an unknown kind."""
    return (
        isinstance(item_type, type)
        and issubclass(item_type, Struct)
        and all(
            field.default is not NODEFAULT or field.default_factory is not NODEFAULT
            for field in structs.fields(item_type)
        )
    )
