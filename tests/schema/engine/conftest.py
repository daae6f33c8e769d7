"""Fixtures for the tests of execution."""

from collections.abc import Iterator

import pytest

from schema.engine import object_plan


@pytest.fixture(scope="module", autouse=True)
def compiles_soon() -> Iterator[None]:
    """Let each plan complete its first object field by field, and compile it for the second: both are tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_plan, "COMPILED_AFTER", 1)
        yield
