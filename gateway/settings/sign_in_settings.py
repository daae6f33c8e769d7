"""The settings of sign-in, of what users may do, and of the ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.setting_checks import (
    check_algorithms,
    check_claim_path,
    check_database_url,
    check_header_word,
    check_issuer,
    normalise_upstream_url,
)
from gateway.settings.setting_types import Flag, Seconds, SettingGroup, expects

ASYMMETRIC_ALGORITHMS = "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA"

ClaimPath = Annotated[str, AfterValidator(check_claim_path), expects("a claim, or a path of claims as realm.roles")]


class SignInSettings(SettingGroup):
    """Sign-in by tokens, the rights of users, and the database of what is theirs."""

    gateway_jwt_issuer: (
        Annotated[str, AfterValidator(check_issuer), expects("the issuer of the tokens, as https://login.example.com")]
        | None
    ) = Field(
        default=None,
        description="Issuer (`iss`) of the tokens by which users sign in; tokens are then the only way in.",
    )
    gateway_jwt_audience: (
        Annotated[str, AfterValidator(check_header_word), expects("the audience of the tokens, without spaces")] | None
    ) = Field(default=None, description="Audience (`aud`) that a token must name.")
    gateway_jwt_jwks_url: (
        Annotated[
            str,
            AfterValidator(normalise_upstream_url),
            expects("an http(s) URL without credentials or fragment"),
        ]
        | None
    ) = Field(
        default=None, description="Address of the issuer's keys (JWKS); by default as the issuer's OIDC discovery says."
    )
    gateway_jwt_public_key_file: Annotated[str, expects("the path of a PEM file", min_length=1)] | None = Field(
        default=None, description="File with the issuer's public key (PEM), in place of GATEWAY_JWT_JWKS_URL."
    )
    gateway_jwt_algorithms: Annotated[
        str,
        AfterValidator(check_algorithms),
        expects("signature algorithms with a public key, as RS256,ES256 (HS256 would need a shared secret)"),
    ] = Field(default=ASYMMETRIC_ALGORITHMS, description="Algorithms by which a token may be signed.")
    gateway_jwt_tenant_claim: ClaimPath | None = Field(
        default=None, description="Claim of a token that names the user's tenant, or a path as `org.id`."
    )
    gateway_jwt_roles_claim: ClaimPath | None = Field(
        default=None, description="Claim of a token that lists the user's roles, or a path as `realm_access.roles`."
    )
    gateway_jwt_admin_role: Annotated[str, expects("the name of a role", min_length=1, max_length=255)] = Field(
        default="admin", description="Role whose holders read and write all threads and assistants."
    )
    gateway_run_overrides: Flag = Field(
        default=False,
        description="Whether signed-in users may choose `model`, `instructions`, `tools` and `toolResources` of a run.",
    )
    gateway_show_instructions: Flag = Field(
        default=False,
        description="Whether signed-in users see instructions, and what goes with them; see What a user may do.",
    )
    gateway_database_url: (
        Annotated[
            SecretStr,
            AfterValidator(check_database_url),
            expects("sqlite:////path/ledger.db or postgresql://user:password@host/database"),
        ]
        | None
    ) = Field(default=None, description="Database of the ledger, which remembers whose each thread and file is.")
    gateway_ledger_deadline_seconds: Seconds = Field(
        default=0.5, description="How long a request waits for the database."
    )
    gateway_ledger_text: Annotated[Literal["all", "titles"], expects("all or titles")] = Field(
        default="all",
        description="The texts whose words are kept for search: of titles and messages, or of `titles` alone.",
    )
