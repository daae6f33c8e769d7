import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS, expiry_from_credential, has_ended


def token(claims: Any) -> str:
    text = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.signature"


@pytest.mark.parametrize("expiry", [1_700_000_000, 1_700_000_000.25, 0, -5])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", " BEARER "])
def test_the_expiry_of_a_json_web_token_is_read(scheme: str, expiry: float) -> None:
    assert expiry_from_credential(f"{scheme} {token({'exp': expiry, 'sub': 'ä' * 3})}") == expiry


@pytest.mark.parametrize(
    "credential",
    [
        None,
        "",
        "Bearer",
        "Bearer sk-key",
        "Basic dTpw",
        f"Basic {token({'exp': 1})}",
        "Bearer a.b.c",
        "Bearer a.b.c.d",
        "Bearer ..",
        f"Bearer {token({})}",
        f"Bearer {token([1])}",
        f"Bearer {token({'exp': '1700000000'})}",
        f"Bearer {token({'exp': True})}",
        f"Bearer {token({'exp': None})}",
        f"Bearer {token({'exp': 1e300})}",
        f"Bearer {token(b'{')}",
        f"Bearer {token(bytes([255]))}",
        "Bearer e30.ü.x",
        "Bearer e30.eyJ.x",
    ],
)
def test_other_credentials_have_no_expiry(credential: str | None) -> None:
    assert expiry_from_credential(credential) is None


@given(st.text(), st.text(), st.text())
def test_no_text_raises(head: str, claims: str, signature: str) -> None:
    expiry_from_credential(f"Bearer {head}.{claims}.{signature}")


def test_a_token_ends_some_time_after_its_expiry() -> None:
    assert not has_ended(1_000, 1_000 + TOKEN_GRACE_SECONDS - 0.1)
    assert has_ended(1_000, 1_000 + TOKEN_GRACE_SECONDS)


@pytest.mark.parametrize("credential", [None, "Bearer sk-key", f"Bearer {token({})}"])
def test_a_credential_without_an_expiry_never_ends(credential: str | None) -> None:
    assert not has_ended(expiry_from_credential(credential), 1e12)
