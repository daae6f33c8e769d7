"""The documentation of the settings, for help texts and for the table of the README."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config import Settings, flag_name, variable_name


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """The public documentation of a setting. The default is text, empty if there is none."""

    name: str
    variable: str
    flag: str | None
    default: str
    description: str


def documented_settings() -> Iterator[SettingDoc]:
    """Document each setting, in the order of the model."""
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else _default_text(field.default)
        yield SettingDoc(name, variable_name(name), flag_name(name), default, field.description or "")


def render_settings_table() -> str:
    """Render the README's table of settings, in Markdown."""
    rows = ["| variable | flag | default | meaning |", "|---|---|---|---|"]
    for setting in documented_settings():
        flag = f"`{setting.flag}`" if setting.flag else "none: a secret"
        default = f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.variable}` | {flag} | {default} | {setting.description} |")
    return "\n".join(rows) + "\n"


def _default_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
