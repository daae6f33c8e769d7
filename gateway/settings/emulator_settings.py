"""The settings of the emulator."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.setting_checks import check_fault_rules, check_header_secrets, normalise_upstream_url
from gateway.settings.setting_types import Flag, HeaderWord, Host, Port, Seconds, Secret, SettingGroup, expects


class EmulatorSettings(SettingGroup):
    """The bundled emulator."""

    emulator_host: Host = Field(default="127.0.0.1", description="Address that the emulator listens on.")
    emulator_port: Port = Field(default=8001, description="Port that the emulator listens on; 0 takes a free one.")
    emulator_database: Annotated[str, expects("the path of a SQLite file, or :memory:", min_length=1)] = Field(
        default=":memory:", description="The emulator's SQLite file, or :memory: to store nothing."
    )
    emulator_keys: (
        Annotated[
            SecretStr,
            AfterValidator(check_header_secrets),
            expects("keys of visible ASCII characters without spaces, separated by commas"),
        ]
        | None
    ) = Field(
        default=None,
        description="The only keys that the emulator takes; the first has the demo's data. Any key by default.",
    )
    emulator_faults: (
        Annotated[
            str,
            AfterValidator(check_fault_rules),
            expects("fault rules as createRun:503:first=2,list*:latency=500ms,*:429:every=10:retry_after=3"),
        ]
        | None
    ) = Field(default=None, description="Faults that the emulator produces; see Faults on request.")
    emulator_fault_control: Flag = Field(
        default=False, description="Whether /_emulator/faults changes the faults at run time, without a key."
    )
    emulator_model_url: (
        Annotated[
            str,
            AfterValidator(normalise_upstream_url),
            expects("an http(s) URL without credentials or fragment"),
        ]
        | None
    ) = Field(
        default=None,
        description="Base URL of a chat-completions API, as http://127.0.0.1:11434/v1, to use in place of scripts.",
    )
    emulator_model_key: Secret | None = Field(default=None, description="The emulator's key for EMULATOR_MODEL_URL.")
    emulator_model: HeaderWord | None = Field(
        default=None, description="Name of the model at EMULATOR_MODEL_URL, in place of each run's own `model`."
    )
    emulator_model_timeout_seconds: Seconds = Field(
        default=60.0, description="Longest wait for the next piece of a model's reply."
    )
