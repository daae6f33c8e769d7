"""The parts of the command line that try sign-in out: `threads-gateway token` and `threads-gateway demo --sign-in`."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from gateway.config import BadSettingsError, Settings

DEMO_SUBJECT = "demo"
"""The subject to whom the demo's threads belong."""

MAX_TOKEN_SECONDS = 10 * 365 * 86_400


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument(
        "--sign-in", action="store_true", help="take the tokens of `threads-gateway token`, and nobody without one"
    )
    _add_key_argument(parser)


def add_token_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `token`."""
    parser.add_argument("--subject", required=True, metavar="NAME", help="the user (`sub`); demo has the demo's data")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="a role, as admin; may be repeated")
    parser.add_argument("--tenant", metavar="NAME", help="the user's tenant")
    parser.add_argument(
        "--seconds", type=_token_seconds, default=3600, metavar="NUMBER", help="how long the token lasts, default 3600"
    )
    _add_key_argument(parser)


def make_trial_token(arguments: argparse.Namespace, settings: Settings) -> str:
    """Make the token that `threads-gateway token` prints.

    Raises:
        BadSettingsError: The token cannot be made.
    """
    from gateway.identity.token_claims import BadClaimError, ClaimNames  # noqa: PLC0415 - slow, as in `cli`
    from gateway.identity.trial_tokens import (  # noqa: PLC0415 - as above
        TRIAL_AUDIENCE,
        TRIAL_CLAIMS,
        TRIAL_ISSUER,
        TrialClaims,
        TrialKeyError,
        make_token,
    )

    claims = TrialClaims(
        subject=arguments.subject,
        roles=arguments.role,
        tenant=arguments.tenant,
        seconds=arguments.seconds,
        issuer=settings.gateway_jwt_issuer or TRIAL_ISSUER,
        audience=settings.gateway_jwt_audience or TRIAL_AUDIENCE,
        claim_names=ClaimNames(
            tenant=settings.gateway_jwt_tenant_claim or TRIAL_CLAIMS.tenant,
            roles=settings.gateway_jwt_roles_claim or TRIAL_CLAIMS.roles,
        ),
    )
    try:
        return make_token(_key_path(arguments), claims, int(time.time()))
    except TrialKeyError as error:
        raise BadSettingsError([f"--sign-in-key: {error}"]) from None
    except BadClaimError as error:
        raise BadSettingsError([f"--subject and --tenant: {error}"]) from None


def trial_settings(arguments: argparse.Namespace, settings: Settings) -> dict[str, str]:
    """Return the settings with which `demo --sign-in` takes the tokens of `token`. Empty without `--sign-in`.

    Raises:
        BadSettingsError: Another issuer is set, or the key cannot be used.
    """
    from gateway.identity.trial_tokens import (  # noqa: PLC0415 - slow, as in `cli`
        TRIAL_AUDIENCE,
        TRIAL_CLAIMS,
        TRIAL_ISSUER,
        TrialKeyError,
        write_public_key,
    )

    if not arguments.sign_in:
        return {}
    set_names = [
        name.upper()
        for name in ("gateway_jwt_issuer", "gateway_jwt_jwks_url", "gateway_jwt_public_key_file")
        if getattr(settings, name) is not None
    ]
    if set_names:
        names = ", ".join(set_names)
        raise BadSettingsError([f"--sign-in: expected nothing in {names}, since it takes tokens of its own key"])
    try:
        public_path = write_public_key(_key_path(arguments))
    except TrialKeyError as error:
        raise BadSettingsError([f"--sign-in-key: {error}"]) from None
    return {
        "gateway_jwt_issuer": TRIAL_ISSUER,
        "gateway_jwt_audience": settings.gateway_jwt_audience or TRIAL_AUDIENCE,
        "gateway_jwt_roles_claim": settings.gateway_jwt_roles_claim or str(TRIAL_CLAIMS.roles),
        "gateway_jwt_public_key_file": str(public_path),
    }


def token_command(arguments: argparse.Namespace) -> str:
    """Return the command that makes a token for the demo's user."""
    key = f" --sign-in-key {arguments.sign_in_key}" if arguments.sign_in_key else ""
    return f"threads-gateway token --subject {DEMO_SUBJECT}{key}"


def _add_key_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sign-in-key",
        metavar="PATH",
        help="file with the private key of tokens for trying out, made if it is missing; "
        "by default ~/.local/state/threads-gateway/trial-key.pem",
    )


def _key_path(arguments: argparse.Namespace) -> Path:
    from gateway.identity.trial_tokens import default_key_path  # noqa: PLC0415 - as above

    return Path(arguments.sign_in_key) if arguments.sign_in_key else default_key_path(os.environ)


def _token_seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_TOKEN_SECONDS:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {MAX_TOKEN_SECONDS}, got {text[:20]!r}")
    return int(text)
