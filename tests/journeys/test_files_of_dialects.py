"""Files are sent, read by their addresses and deleted at each dialect of upstream."""

from typing import Any

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.ledger.ownership import BorrowedLedger
from gateway.upstream.dialects import DIALECTS
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.file_client import error_of, target, uploaded
from tests.support.file_samples import PNG
from tests.support.gateway import running_gateway
from tests.support.mutations import succeed

UPSTREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-v1": ("/v1", {}),
    "openai-v2": ("/v1", {}),
    "lenient": ("/v1", {}),
    "azure-openai": ("/openai", {"upstream_api_version": "2024-05-01-preview"}),
    "azure-foundry": ("/api/projects/demo", {}),
    "openai-responses": ("/v1", {}),
    "foundry-responses": ("/openai/v1", {}),
    "lenient-responses": ("/v1", {}),
}


def test_each_dialect_is_here() -> None:
    assert UPSTREAMS.keys() == DIALECTS.keys()


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_a_file_is_sent_read_and_deleted(dialect: str, emulator: Emulator) -> None:
    path, options = UPSTREAMS[dialect]
    ledger = BorrowedLedger(None, kept=make_memory_records())  # the dialects of responses need one
    async with running_gateway(
        f"{emulator.root_url}{path}", upstream_dialect=dialect, ledger=ledger, **options
    ) as gateway:
        gateway.credential = AUTHORIZATION
        made = await uploaded(gateway, PNG, "flag.png")
        address = target(made["contentUrl"])
        assert (await gateway.send("GET", address)).body == PNG
        found = await gateway.data("query ($id: ID!) { file(id: $id) { filename bytes purpose } }", {"id": made["id"]})
        assert found["file"] == {"filename": "flag.png", "bytes": len(PNG), "purpose": "vision"}
        assert (await succeed(gateway, "deleteFile", "deletedId", fileId=made["id"]))["deletedId"] == made["id"]
        assert error_of(await gateway.send("GET", address))[:2] == (404, "NOT_FOUND")
