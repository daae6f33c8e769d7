"""Makes tokens for trying sign-in out without an identity provider, and keeps the key pair that signs them.

The private key stands in a file that only its owner can read, the public one beside it. A gateway that is to accept the
tokens gets the public one as `GATEWAY_JWT_PUBLIC_KEY_FILE`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.identity.token_claims import ClaimNames, user_from_claims

TRIAL_ISSUER = "threads-gateway-trial"
TRIAL_AUDIENCE = "threads-gateway"
TRIAL_CLAIMS = ClaimNames(tenant="tenant", roles="roles")
"""The issuer, the audience and the claims of tokens, unless the settings have others."""

KEY_FILE_NAME = "trial-key.pem"

_ALGORITHM = "EdDSA"


class TrialKeyError(Exception):
    """The key pair cannot be used. The message names the reason."""


@dataclass(frozen=True, slots=True)
class TrialClaims:
    """The claims of a token. Its tenant and roles are written under the whole names of `claim_names`."""

    subject: str
    roles: Sequence[str] = ()
    tenant: str | None = None
    seconds: int = 3600
    issuer: str = TRIAL_ISSUER
    audience: str = TRIAL_AUDIENCE
    claim_names: ClaimNames = TRIAL_CLAIMS

    def to_claims(self, now_seconds: int) -> dict[str, object]:
        """Write the claims.

        Raises:
            BadClaimError: A gateway would refuse the subject or the tenant.
        """
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": self.subject,
            "iat": now_seconds,
            "exp": now_seconds + self.seconds,
        }
        if self.roles and self.claim_names.roles is not None:
            claims[self.claim_names.roles] = list(self.roles)
        if self.tenant is not None and self.claim_names.tenant is not None:
            claims[self.claim_names.tenant] = self.tenant
        user_from_claims(claims, ClaimNames(tenant=self.claim_names.tenant if self.tenant is not None else None))
        return claims


def default_key_path(environment: Mapping[str, str]) -> Path:
    """Return the path of the private key, in the folder for the state of a user's programs.

    Source: XDG Base Directory Specification, https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    folder = environment.get("XDG_STATE_HOME")
    state = Path(folder) if folder and Path(folder).is_absolute() else Path.home() / ".local" / "state"
    return state / "threads-gateway" / KEY_FILE_NAME


def make_token(path: Path, claims: TrialClaims, now_seconds: int) -> str:
    """Make a token with the key of a file, which is made if it is missing.

    Raises:
        TrialKeyError: The file cannot be used.
        BadClaimError: A gateway would refuse the token.
    """
    written = claims.to_claims(now_seconds)
    return jwt.encode(written, _read_or_make_key(path), _ALGORITHM)


def write_public_key(path: Path) -> Path:
    """Write the public key beside the private one, which is made if it is missing. Returns the path of the public key.

    Raises:
        TrialKeyError: The files cannot be used.
    """
    public_key = _read_or_make_key(path).public_key()
    public_path = path.with_suffix(".public.pem")
    try:
        temporary = _write_temporary(
            path.parent, public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        temporary.replace(public_path)
    except OSError as error:
        raise _unusable(public_path, error) from None
    return public_path


def _read_or_make_key(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make_key(path)
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise TrialKeyError(f"expected a key that only you can read (chmod 600), got {str(path)!r}")
            key = load_pem_private_key(file.read(), password=None)
    except OSError as error:
        raise _unusable(path, error) from None
    except (ValueError, TypeError):
        raise TrialKeyError(f"expected a private key in PEM, got {str(path)!r} with something else") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TrialKeyError(f"expected an Ed25519 key in {str(path)!r}, got another kind")
    return key


def _make_key(path: Path) -> None:
    """Write a new key, unless another process has just done so."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    temporary = _write_temporary(path.parent, pem)
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()


def _write_temporary(folder: Path, content: bytes) -> Path:
    """Write a file that only its owner can read."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".trial-", delete=False) as file:
        file.write(content)
        return Path(file.name)


def _unusable(path: Path, error: OSError) -> TrialKeyError:
    return TrialKeyError(f"expected a file that can be read and written, got {str(path)!r}, {error.strerror}")
