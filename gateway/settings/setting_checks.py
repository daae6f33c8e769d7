"""Checks of the values of settings. Pure. Each returns the value to use, or raises ValueError."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationInfo

MAX_KEY_LENGTH = 8000
"""Longest upstream key, in characters. With the word `Bearer` it fits into the 8 KiB that servers allow a header."""

MAX_CLAIM_PATH_LENGTH = 255

MIN_SECRET_LENGTH = 32
"""Shortest secret, in characters."""

SIGNATURE_ALGORITHMS = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
    }
)
"""Algorithms with a public key. Those with a shared secret (HS256) are left out: with a public key in place of the
secret, everybody could sign."""

_API_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_FAULT_RULE = re.compile(r"\s*[A-Za-z*?]+\s*(:\s*[\w.=-]+\s*)+\Z")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?\Z")
_USUAL_PORTS = {"http": 80, "https": 443}
_SCHEMES_WITHOUT_PAGES = {"ws", "wss", "file"}
_VISIBLE_ASCII = re.compile(r"[!-~]+\Z")


def check_header_word(text: str) -> str:
    """Take visible ASCII characters."""
    if not _VISIBLE_ASCII.match(text) or len(text) > MAX_KEY_LENGTH:
        raise ValueError
    return text


def check_header_secret(secret: SecretStr) -> SecretStr:
    """Take a secret of visible ASCII characters."""
    check_header_word(secret.get_secret_value())
    return secret


def check_header_secrets(secrets: SecretStr) -> SecretStr:
    """Take secrets of visible ASCII characters, separated by commas."""
    for secret in secrets.get_secret_value().split(","):
        check_header_word(secret)
    return secrets


def normalise_upstream_url(text: str) -> str:
    """Take a URL without credentials and fragment. A slash at its end is cut off."""
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for a port that is no number
    malformed = "@" in parts.netloc or "#" in text or not _VISIBLE_ASCII.match(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or malformed:
        raise ValueError
    # A query is sent with every call.
    return text if parts.query else text.rstrip("/")


def normalise_public_url(text: str) -> str:
    """Take a URL without credentials, query and fragment. A slash at its end is cut off."""
    if "?" in text:
        raise ValueError
    return normalise_upstream_url(text)


def check_url_secret(secret: SecretStr) -> SecretStr:
    """Take a secret that nobody guesses: long enough, and not one character again and again."""
    text = secret.get_secret_value()
    if len(text) < MIN_SECRET_LENGTH or len(set(text)) < MIN_SECRET_LENGTH // 4:
        raise ValueError
    return secret


def check_api_version(text: str, info: ValidationInfo) -> str:
    """Take a version of an azure dialect, unless the URL has one."""
    group = _group_of(info)
    has_version = info.data.get(f"{group}_dialect") in {"azure-openai", "azure-foundry"}
    in_url = "api-version=" in urlsplit(info.data.get(f"{group}_url") or "").query
    if not has_version or in_url or not _API_VERSION.match(text):
        raise ValueError
    return text


def check_key_file(text: str, info: ValidationInfo) -> str:
    """Take the path of a file with a key, unless the key is set too."""
    if info.data.get(f"{_group_of(info)}_api_key") is not None:
        raise ValueError
    return text


def _group_of(info: ValidationInfo) -> str:
    """Return the upstream that a setting is of, by its name: `upstream` or `target`."""
    return (info.field_name or "").partition("_")[0]


def check_documents_only(text: str, info: ValidationInfo) -> str:
    """Take whether other documents run. None can run if no documents are trusted."""
    if text == "on" and info.data.get("gateway_documents") is None:
        raise ValueError
    return text


def check_fault_rules(text: str) -> str:
    """Take fault rules by their form. The emulator parses them."""
    if not all(_FAULT_RULE.match(rule) for rule in text.split(",")):
        raise ValueError
    return text


def check_redis_url(secret: SecretStr) -> SecretStr:
    """Take the URL of a Redis."""
    if urlsplit(secret.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError
    return secret


def normalise_origins(text: str) -> str:
    """Take origins, separated by commas, as browsers write them: in lower case, without the scheme's usual port.

    The only pattern is `http://localhost:*`.
    """
    return ",".join(dict.fromkeys(_normalise_origin(entry.strip().lower()) for entry in text.split(",")))


def _normalise_origin(origin: str) -> str:
    if origin == "http://localhost:*":
        return origin
    scheme, _, rest = origin.partition("://")
    # The origin of a WebSocket is that of its page, and a file has none.
    if not _ORIGIN.match(origin) or scheme in _SCHEMES_WITHOUT_PAGES:
        raise ValueError
    port = urlsplit(origin).port  # raises ValueError for a port that is too large
    if port == 0:
        raise ValueError
    host = rest if port is None else rest.rpartition(":")[0]
    return f"{scheme}://{host}" if port in {None, _USUAL_PORTS.get(scheme)} else f"{scheme}://{host}:{port}"


def check_issuer(text: str) -> str:
    """Take the issuer of tokens: text that a token holds exactly so. It needs no special form."""
    return check_header_word(text)


def check_algorithms(text: str) -> str:
    """Take names of signature algorithms, separated by commas. `none` is no signature."""
    names = [name.strip() for name in text.split(",")]
    if not names or not all(name in SIGNATURE_ALGORITHMS for name in names):
        raise ValueError
    return ",".join(dict.fromkeys(names))


def check_claim_path(text: str) -> str:
    """Take the name of a claim, or a path of names separated by dots. Names may hold any printable character."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_CLAIM_PATH_LENGTH:
        raise ValueError
    return text


def check_database_url(secret: SecretStr) -> SecretStr:
    """Take the URL of a SQLite file by its absolute path, or of a PostgreSQL database."""
    parts = urlsplit(secret.get_secret_value())
    _ = parts.port  # raises ValueError for a port that is no number
    is_file = parts.scheme == "sqlite" and not parts.netloc and parts.path.startswith("//") and len(parts.path) > 2
    is_server = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1
    if not (is_file or is_server):
        raise ValueError
    return secret
