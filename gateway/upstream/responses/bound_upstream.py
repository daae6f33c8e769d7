"""The calls, records and proofs of one principal in one operation, which all parts of their port share."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.upstream.bound_calls import BoundCalls
from gateway.upstream.dialects import Dialect
from gateway.upstream.responses.conversation_operations import GET_CONVERSATION
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.lost_chains import LostChains
from gateway.upstream.responses.thread_proofs import ThreadProofs
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey


@dataclass(frozen=True)
class BoundUpstream:
    """The calls, the records and the dialect. `caller` names the one in whose name proofs are kept.

    With `is_trusted`, the calls carry the gateway's own key, so who may reach a thread was decided before.
    """

    calls: BoundCalls
    kept: KeptRecords
    dialect: Dialect
    proofs: ThreadProofs
    lost_chains: LostChains
    caller: str
    is_trusted: bool

    def prove(self, thread_id: str) -> None:
        """Record that the upstream has just shown the caller something of a thread."""
        self.proofs.record(self.caller, thread_id)

    async def check_reachable(self, thread_id: str, *, must_exist: bool = False) -> GatewayError | None:
        """Return the error of a thread that the caller cannot reach; the upstream is asked unless it is known.

        `must_exist`: also ask for a trusted caller, who may reach it, but for whom it may not exist.
        """
        if self.proofs.holds(self.caller, thread_id) or (self.is_trusted and not must_exist):
            return None
        (thread,) = await self.calls.read_all(GET_CONVERSATION, [ThreadKey(thread_id)])
        if isinstance(thread, GatewayError):
            return thread
        self.prove(thread_id)
        return None


def not_found(noun: str, object_id: str) -> GatewayError:
    """Build the error of an unknown object, in the words of the API before."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No {noun} found with id '{object_id}'.")
