"""From a key to a node: what is loaded, what is loaded with it, and what needs no call at all.

A reference (`message.run`) is trusted: where only fields of the key are selected below it, it costs nothing.
A lookup (`thread(id:)`) has to prove that the object exists, by the object itself or by a page of one of its lists.
Either starts everything that its selection needs at the same time, so that a nested query takes as many upstream
round trips as it has true dependencies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, cast

from graphql import FieldNode, GraphQLError

from schema.connections import ConnectionPlan
from schema.context import Context, Info
from schema.errors import ErrorCode, GatewayError
from schema.loaders import PortLoader
from schema.selection import arguments_of, names_of


class LoadedNode(Protocol):
    """What loading has to know about a type of node."""

    TYPE_NAME: ClassVar[str]
    FIELDS_OF_KEY: ClassVar[frozenset[str]]
    """Fields that the key alone answers, lists among them."""
    LISTS: ClassVar[Mapping[str, Callable[..., ConnectionPlan[Any]]]]
    """Fields that show a page, each with the plan of it: a function of context, key and arguments."""
    REFERENCES: ClassVar[Mapping[str, Callable[[Any], tuple[type[LoadedNode], Any]]]]
    """Fields that lead to a node whose key follows from this node's key, each with its type and key."""

    def __init__(self, key: Any, wire: Any = None) -> None:
        """A node of a key and, once it is here, its wire object."""

    @staticmethod
    def loader(context: Context) -> PortLoader[Any, Any]:
        """The loader of the type's wire objects."""


NodeT = TypeVar("NodeT", bound=LoadedNode)

PYTHON_NAMES = {"runId": "run_id"}
"""How the planners of lists call arguments whose name is another in GraphQL."""


def refer(info: Info, node_type: type[NodeT], key: Any) -> NodeT | None:
    """Follow a reference: at once where no call is needed, else as an awaitable, which GraphQL execution awaits.

    A reference to an object that is not there gives null.
    """
    context = info.context
    _start(info, node_type, key)
    if names_of(context.selected(info._raw_info, node_type.TYPE_NAME)) <= node_type.FIELDS_OF_KEY:
        return node_type(key=key)
    wire = node_type.loader(context).held(key)
    if wire is not None:
        return node_type(key=key, wire=wire)
    return cast("NodeT", _load(info, node_type, key))


async def find(info: Info, node_type: type[NodeT], key: Any, argument: str = "id") -> NodeT | None:
    """Look an object up by an id that came from outside; null where there is no such object.

    Where only lists of it are selected, a page of one of them proves that it exists, and it is not fetched itself.
    A page that fails in another way is reported by its own field. A page behind a cursor proves nothing when it is
    not found: the object that the cursor names may be gone. Raises a `GatewayError` that names the argument where
    the upstream will not take the id.
    """
    plans = _start(info, node_type, key)
    proofs = [plan for plan in plans if plan.proves_owner and plan.key.window.after is None]
    selected = names_of(info.context.selected(info._raw_info, node_type.TYPE_NAME))
    needs_object = not proofs or not selected <= node_type.FIELDS_OF_KEY
    try:
        if needs_object:
            return await _load(info, node_type, key)
        await proofs[0].loader.load(proofs[0].first_page_key)
    except GatewayError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        if error.code is ErrorCode.BAD_USER_INPUT and error.argument in key._fields:
            raise error.about(argument) from error
        if needs_object:
            raise
    return node_type(key=key)


async def _load(info: Info, node_type: type[NodeT], key: Any) -> NodeT | None:
    try:
        return node_type(key=key, wire=await node_type.loader(info.context).load(key))
    except GatewayError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise


def _start(
    info: Info, node_type: type[LoadedNode], key: Any, below: Sequence[FieldNode] | None = None
) -> list[ConnectionPlan[Any]]:
    """Start whatever follows from the key alone: the first page of each list, and what references lead to.

    Gives the plans of the node's own lists. Arguments that are refused wait for their field, which reports them.
    """
    context, raw = info.context, info._raw_info
    plans = []
    for field in context.selected(raw, node_type.TYPE_NAME, below):
        name = field.name.value
        if (plan_of := node_type.LISTS.get(name)) is not None:
            try:
                given = arguments_of(raw, node_type.TYPE_NAME, field)
                plan = plan_of(context, key, **{PYTHON_NAMES.get(name, name): given[name] for name in given})
            except (GatewayError, GraphQLError):
                continue
            plan.loader.start(plan.first_page_key)
            plans.append(plan)
        elif (reference := node_type.REFERENCES.get(name)) is not None:
            target, target_key = reference(key)
            if not names_of(context.selected(raw, target.TYPE_NAME, [field])) <= target.FIELDS_OF_KEY:
                target.loader(context).start(target_key)
            _start(info, target, target_key, [field])
    return plans
