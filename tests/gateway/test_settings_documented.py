import re

import pytest

from gateway.config import COMMAND_SETTINGS, Settings, is_secret
from gateway.setting_docs import documented_settings, render_settings_table
from tests.support.pages import PAGES, table_text


def test_every_setting_has_a_variable_a_flag_and_a_meaning() -> None:
    settings = list(documented_settings())
    assert [setting.name for setting in settings] == list(Settings.model_fields)
    for setting in settings:
        assert setting.variable == setting.name.upper()
        assert (setting.flag is None) is is_secret(setting.name)
        assert setting.description.endswith(".")


def test_no_two_settings_share_a_flag() -> None:
    flags = [setting.flag for setting in documented_settings() if setting.flag]
    assert len(flags) == len(set(flags))


def test_every_setting_belongs_to_a_command() -> None:
    assert {name for names in COMMAND_SETTINGS.values() for name in names} == set(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_table_has_a_row_for_each_setting_with_its_default(name: str) -> None:
    (row,) = [line for line in render_settings_table().splitlines() if f"`{name.upper()}`" in line]
    default = Settings.model_fields[name].default
    shown = "" if default is None else str(default).removesuffix(".0")
    if isinstance(default, bool):
        shown = shown.lower()
    assert row.split("|")[3].strip().strip("`") == shown


def test_the_documentation_lists_exactly_these_settings() -> None:
    assert table_text("settings").strip() == render_settings_table().strip()


def test_every_section_that_a_setting_refers_to_is_a_heading() -> None:
    descriptions = [setting.description for setting in documented_settings()]
    sections = [found[1] for text in descriptions if (found := re.search(r"; see (.+)\.$", text))]
    assert sections
    assert [section for section in sections if f"\n## {section}\n" not in PAGES["gateway/README.md"].text] == []
