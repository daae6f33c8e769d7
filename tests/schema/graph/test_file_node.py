"""The node type `File`: its fields, and the sizes that GraphQL's integers can show."""

from typing import Any

import pytest

from schema.contract.keys import FileKey, to_file_id
from schema.contract.wire import FileObject
from tests.schema.builders import execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import WHOLE_FILE, decoded

EVERY_FIELD = '{ file(id: "file-b") { id upstreamId filename bytes purpose createdAt contentUrl } }'


def api_with(**fields: Any) -> FakeThreadsApi:
    """Make an upstream with a file that has these fields alone."""
    return FakeThreadsApi(files={FileKey("file-b"): decoded(FileObject, {"id": "file-b"} | fields)})


async def test_every_field() -> None:
    assert (await query_data(api_with(**WHOLE_FILE), EVERY_FIELD))["file"] == {
        "id": to_file_id("file-b"),
        "upstreamId": "file-b",
        "filename": "b.csv",
        "bytes": 1234,
        "purpose": "assistants_output",
        "createdAt": "2023-11-03T11:08:29Z",
        "contentUrl": None,
    }


async def test_what_the_upstream_does_not_send_is_null() -> None:
    shown = (await query_data(api_with(), EVERY_FIELD))["file"]
    assert {name for name, value in shown.items() if value is not None} == {"id", "upstreamId"}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [(0, 0), (5.0, 5), (2**31 - 1, 2**31 - 1), (2**31, None), (5e9, None), (1.5, None), (-1, None), (None, None)],
)
async def test_a_size_that_is_no_integer_of_graphql_is_null(sent: float | None, shown: int | None) -> None:
    assert await query_data(api_with(bytes=sent), '{ file(id: "file-b") { bytes } }') == {"file": {"bytes": shown}}


async def test_an_id_of_something_else_is_refused() -> None:
    result = await execute(api_with(), '{ file(id: "VGhyZWFkOnRocmVhZF8xOjRhODM") { filename } }')
    assert paths_and_codes(result) == [(["file"], "BAD_USER_INPUT")]
    assert "expected the global ID of a File, not of a Thread" in str(result.errors)
