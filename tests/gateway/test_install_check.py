import pytest

from gateway import install_check
from gateway.install_check import foreign_schema_package


def test_our_own_schema_is_no_stranger() -> None:
    assert foreign_schema_package() is None


@pytest.mark.parametrize(
    ("owners", "expected"),
    [(["threads-gateway"], None), ([], None), (["threads-gateway", "schema"], "schema"), (["schema"], "schema")],
)
def test_a_foreign_schema_is_named(monkeypatch: pytest.MonkeyPatch, owners: list[str], expected: str | None) -> None:
    monkeypatch.setattr(install_check, "packages_distributions", lambda: {"schema": owners} if owners else {})
    assert foreign_schema_package() == expected
