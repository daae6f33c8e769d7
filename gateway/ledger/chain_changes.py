"""Changes of the records of chains and items, in whatever order news of a run comes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord
from schema.contract.statuses import is_terminal

_WAITING, _GOING_ON = "requires_action", "queued"
_CANCELLING, _BEFORE_CANCELLING = "cancelling", frozenset({"queued", "in_progress"})


def add_response(chain: ChainRecord, response_id: str, answers: Mapping[str, str]) -> ChainRecord:
    """Add a response, unless the chain has it, and what was submitted. A run that waited is queued again."""
    known = response_id in chain.response_ids
    return replace(
        chain,
        response_ids=chain.response_ids if known else (*chain.response_ids, response_id),
        answers={**chain.answers, **answers},
        status=_GOING_ON if chain.status == _WAITING else chain.status,
        waiting_since=None,
    )


def change_status(
    chain: ChainRecord, status: str, waiting_since: float | None, ended_run: bytes | None = None
) -> ChainRecord:
    """Change the status. One that has ended the run stays, and a run that waits already keeps its time.

    A run that is to be cancelled stays so until it ends: its response shows nothing of it meanwhile. If it asks its
    client before anybody could stop it, that is its end.
    """
    if {chain.status, status} == {_CANCELLING, _WAITING}:
        status = "cancelled"
    if is_terminal(chain.status):
        missing = ended_run is not None and chain.ended_run is None and status == chain.status
        return replace(chain, ended_run=ended_run) if missing else chain
    if is_terminal(status):
        return replace(chain, status=status, waiting_since=None, ended_run=ended_run)
    if chain.status == _CANCELLING and status in _BEFORE_CANCELLING:
        return chain
    if chain.status == status and chain.waiting_since is not None and waiting_since is not None:
        return chain
    return replace(chain, status=status, waiting_since=waiting_since)


def merge_item(known: ItemRecord | None, seen: ItemRecord) -> ItemRecord:
    """Merge two records of an item: the time of the first one stays, and so does a run."""
    return seen if known is None else replace(known, run_id=known.run_id or seen.run_id)
