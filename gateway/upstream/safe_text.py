"""Makes text of the upstream fit for callers: one line, short, and without credentials. Pure."""

import re
import string

from gateway.telemetry.scrubbing import REMOVED, SECRETS

MAX_MESSAGE_LENGTH = 500

_MIN_SECRET_LENGTH = 4
_LINE_BREAKS = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Control and format characters, direction overrides, and halves of surrogate pairs, which cannot be encoded.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


# The mask in the middle of "abcd****wxyz". The word around it is looked for from there, so that each text is read once.
_MASK = re.compile(r"[*\u2022]{2,}|\u2026+|\.{3,}")
_WORD_CHARACTERS = string.ascii_letters + string.digits + "_~+/=-"
_MAX_MASKED_LENGTH = 64


def safe_text(text: str, credential: str | None = None, *, max_length: int = MAX_MESSAGE_LENGTH) -> str:
    """Make one line of at most `max_length` characters that holds no credential.

    Removes the credential that was sent, with or without its scheme, also where its middle is masked, all text that
    looks like an API key, a bearer or basic token or a JWT, and control characters. Cuts the text last, so that no part
    of a credential is left.
    """
    line = _one_line(text)
    secrets = _secrets_in(credential)
    for secret in secrets:
        line = line.replace(secret, REMOVED)
    line = SECRETS.sub(REMOVED, line)
    if secrets:
        line = _without_masked(line, secrets, max_length)
    return line if len(line) <= max_length else line[: max_length - 3] + "..."


def _without_masked(line: str, secrets: list[str], max_length: int) -> str:
    """Remove masked words that show the beginning or the end of a secret, from the part that is shown."""
    kept, position, kept_length = [], 0, 0
    for mask in _MASK.finditer(line):
        if kept_length + mask.start() - position > max_length + _MAX_MASKED_LENGTH:
            break
        before = line[max(position, mask.start() - _MAX_MASKED_LENGTH) : mask.start()]
        beginning = before[len(before.rstrip(_WORD_CHARACTERS)) :]
        after = line[mask.end() : mask.end() + _MAX_MASKED_LENGTH]
        end = after[: len(after) - len(after.lstrip(_WORD_CHARACTERS))]
        if any((beginning and one.startswith(beginning)) or (end and one.endswith(end)) for one in secrets):
            kept += [line[position : mask.start() - len(beginning)], REMOVED]
            kept_length = sum(map(len, kept))
            position = mask.end() + len(end)
    return "".join(kept) + line[position:]


def _one_line(text: str) -> str:
    return _INVISIBLE.sub("", _LINE_BREAKS.sub(" ", text)).strip()


def _secrets_in(credential: str | None) -> list[str]:
    """Return the credential and its parts, longest first, without parts that are too short or that name a scheme."""
    if credential is None:
        return []
    whole = _one_line(credential)
    parts = whole.split(" ")
    secrets = {whole, " ".join(parts[1:]), *parts[1:]}
    return sorted((secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH), key=len, reverse=True)
