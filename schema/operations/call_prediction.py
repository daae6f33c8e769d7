"""Predicts the most upstream calls that an operation can make, before it is executed. Pure.

1. It walks the selections of the operation as execution will, and asks the nodes' own planners which pages they show.
2. An id that only an answer will contain is replaced by a symbol, an `_UnknownId`. So every object, page and
   reference has a key, although most keys have symbols in them.
3. It records each call under that key, with the number of objects that the call may be made for: one factor for each
   list around it (`_Factors`). Two selections that need the same call have the same key, so the call counts once.
4. The prediction is the sum over all calls of the product of their factors.

Calls that are shared count once:

- an object or a page counts once, however many selections need it. Pages of one list that begin at the same place
  share the longest one, if they are loaded in the same round or the longer one is loaded in an earlier round;
- a reference costs nothing if only fields of its key are selected. An object that came in a page, or a reference back
  to a known key (`message.thread`, `step.run`), is not loaded again;
- a lookup with only lists selected is proved by a page. `activeRun` is a page of runs.
- a page of one run's messages counts `MAX_FURTHER_PAGES` more, since an upstream may ignore which run is asked for.

For a subscription it predicts one event, of the type that needs the most calls. The objects of the event cost nothing;
the selections below them are loaded again for each event. A snapshot is assumed to hold `SNAPSHOT_SIZE` messages and
as many steps.

Each selection below a page counts for as many objects as the page may hold, although the list may be shorter and many
of its objects may refer to the same one. A page above the upstream's limit counts each upstream page. Not predicted are
calls that are repeated after a failure, and upstreams that return shorter pages than requested. Objects that are only
referred to count one call each, although the client may load three or more of one thread by one list; if that list has
none of them, it is one call more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import SimpleNamespace
from typing import Any, TypeAlias

from graphql import FieldNode, OperationType

from schema.contract.errors import GatewayError
from schema.contract.keys import KEY_TYPES, TYPE_NAMES, AssistantKey, NodeKey, ThreadKey
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE, PagingLimits
from schema.graph.assistant_node import plan_assistants
from schema.graph.connections import ConnectionPlan
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.message_node import plan_newest_messages
from schema.graph.nodes import NODE_TYPES
from schema.graph.queries import MAX_IDS
from schema.graph.references import PYTHON_ARGUMENT_NAMES
from schema.operations.operation_reader import NODE_INTERFACE, GroupedFields, OperationReader, TooManySelectionsError
from schema.operations.upper_bounds import SNAPSHOT_SIZE

_KEY_TYPES: Mapping[str, Any] = KEY_TYPES
"""The key types; here their parts may be symbols."""

_NODE_TYPES_BY_NAME: Mapping[str, type[Any]] = {TYPE_NAMES[key]: node_type for key, node_type in NODE_TYPES.items()}
_READS_BEFORE_WRITING = {"submitToolOutputs": 1, "submitToolApprovals": 1}

_Factors: TypeAlias = tuple[int, ...]
"""How many objects a call may be made for: the sizes of the lists around it, from the outermost."""

_ListSizes: TypeAlias = Mapping["_UnknownId", int]
"""The sizes of the lists around a selection, by the symbol of their objects."""


def predict_calls(reader: OperationReader, limits: PagingLimits, upper_bound: int) -> int:
    """Predict the most upstream calls of an operation; of a subscription, those of one event.

    The result is never above the `upper_bound` of `find_upper_bounds`, and equal to it if the operation unfolds to too
    many selections.
    """
    try:
        return min(upper_bound, _predict(reader, limits))
    except TooManySelectionsError:
        return upper_bound


def _predict(reader: OperationReader, limits: PagingLimits) -> int:
    root_name, operation_type = reader.root_name, reader.operation.operation
    if root_name is None:
        return 0
    fields = reader.collect_fields(root_name, [reader.operation])
    if operation_type is OperationType.SUBSCRIPTION:
        return sum(_predict_event(reader, limits, root_name, nodes) for nodes in fields.values())
    if operation_type is not OperationType.MUTATION:
        return _predict_reads(reader, limits, root_name, fields)
    names = [nodes[0].name.value for nodes in fields.values() if reader.field_definition(root_name, nodes[0])]
    writes = sum(1 + _READS_BEFORE_WRITING.get(name, 0) for name in names)
    # Each write clears the loaders, so each field loads anew.
    return writes + sum(_predict_reads(reader, limits, root_name, {name: fields[name]}) for name in fields)


def _predict_reads(reader: OperationReader, limits: PagingLimits, root_name: str, fields: GroupedFields) -> int:
    counter = _CallCounter(reader, limits)
    first_round = _Round()
    for nodes in fields.values():
        counter.add_root_field(root_name, nodes, first_round)
    return counter.total()


def _predict_event(reader: OperationReader, limits: PagingLimits, root_name: str, nodes: Sequence[FieldNode]) -> int:
    """Predict the calls of one event, of the type that needs the most. Each event has loaders of its own."""
    target = reader.target_type(root_name, nodes[0])
    most = 0
    for event_type in () if target is None else reader.possible_types(target):
        counter = _CallCounter(reader, limits)
        counter.add_event(event_type, nodes)
        most = max(most, counter.total())
    return most


class _UnknownId:
    """A symbol in a key: the ids, known only from an answer, of all objects at one place of the operation."""

    __slots__ = ("is_listed", "lists")

    def __init__(self, owner: object, *, is_many: bool, is_listed: bool) -> None:
        self.lists: tuple[_UnknownId, ...] = (*_lists_around(owner), self) if is_many else _lists_around(owner)
        """The lists that lead to these objects, from the outermost: pages, or lists of ids."""
        self.is_listed = is_listed
        """Whether the objects came in a page, so that no other reference to them needs a call."""


class _Round:
    """A round of loads: the calls that start at the same time. The calls that follow an answer are a later round."""

    __slots__ = ("previous",)

    def __init__(self, previous: _Round | None = None) -> None:
        self.previous = previous


def _lists_around(id_or_symbol: object) -> tuple[_UnknownId, ...]:
    return id_or_symbol.lists if isinstance(id_or_symbol, _UnknownId) else ()


def _largest(left: _Factors | None, right: _Factors) -> _Factors:
    return right if left is None else tuple(map(max, left, right))


class _CallCounter:
    """Collects the calls of one root selection, each with its factors."""

    def __init__(self, reader: OperationReader, limits: PagingLimits) -> None:
        self._reader = reader
        # For a planner, each kind is the loader of its pages.
        self._planner_context: Any = SimpleNamespace(limits=limits, loaders=SimpleNamespace(pages=lambda kind: kind))
        self._symbols: dict[object, _UnknownId] = {}
        self._calls: dict[object, _Factors] = {}
        self._first_pages: dict[object, dict[_Round, tuple[int, _Factors]]] = {}

    def total(self) -> int:
        """Return the number of all calls."""
        return sum(map(prod, self._calls.values())) + sum(map(_count_first_pages, self._first_pages.values()))

    def add_root_field(self, root_name: str, nodes: Sequence[FieldNode], round_: _Round) -> None:
        """Add the calls of one root field of a query or a mutation."""
        target = self._reader.target_type(root_name, nodes[0])
        arguments = None if target is None else self._reader.argument_values(root_name, nodes[0])
        if target is None or arguments is None:
            return
        if "input" in arguments:
            self._add_payload(target.name, nodes, round_, has_added=bool(arguments["input"].get("additionalMessages")))
        elif "id" in arguments or "ids" in arguments:
            ids = arguments["ids"] if "ids" in arguments else [arguments["id"]]
            self._add_lookups(target.name, ids, nodes, round_)
        else:
            self._add_list(None, plan_assistants, arguments, nodes, target.name, round_, {})

    def add_event(self, event_type: str, nodes: Sequence[FieldNode]) -> None:
        """Add the calls of one event. The objects that come with it are loaded, as those of a page are."""
        round_ = _Round()
        thread = self._symbol("thread", None)
        # If the run comes with the event, so do the objects of references that lead back to it.
        run = self._symbol("run", None, is_listed="run" in self._reader.field_definitions(event_type))
        for inner in self._reader.collect_fields(event_type, nodes).values():
            name, target = inner[0].name.value, self._reader.target_type(event_type, inner[0])
            if target is None:
                continue
            is_many = self._reader.is_list_field(event_type, inner[0])
            own = run if target.name == "Run" else self._symbol(name, None, is_many=is_many, is_listed=True)
            node_type, key_type = _NODE_TYPES_BY_NAME[target.name], _KEY_TYPES[target.name]
            key = key_type(thread, run, own) if target.name == "RunStep" else key_type(thread, own)
            sizes = {own: SNAPSHOT_SIZE} if is_many else {}
            fields = self._reader.collect_fields(target.name, inner)
            self._add_selection(node_type, key, fields, round_, sizes, is_loaded=True)

    def _add_lookups(self, type_name: str, ids: Sequence[str], nodes: Sequence[FieldNode], round_: _Round) -> None:
        if len(ids) > MAX_IDS:
            return
        keys_by_type: dict[type[NodeKey], set[NodeKey]] = {}
        for text in ids:
            try:
                key = read_node_id(text) if type_name == NODE_INTERFACE else read_id(KEY_TYPES[type_name], text)
            except GatewayError:  # execution refuses this id alone
                continue
            keys_by_type.setdefault(type(key), set()).add(key)
        for key_type, keys in keys_by_type.items():
            node_type = NODE_TYPES[key_type]
            if len(keys) == 1:
                self._add_lookup(node_type, keys.pop(), nodes, round_, {})
            else:
                # One symbol for all of them, because the selection on each is the same.
                each = self._symbol((key_type, frozenset(keys)), None, is_many=True)
                symbolic_key = _KEY_TYPES[TYPE_NAMES[key_type]]._make([each] * len(key_type._fields))
                self._add_lookup(node_type, symbolic_key, nodes, round_, {each: len(keys)})

    def _add_lookup(
        self, node_type: type[Any], key: Any, nodes: Sequence[FieldNode], round_: _Round, sizes: _ListSizes
    ) -> None:
        """Count as `references.look_up` loads: the object, unless a page proves that it exists."""
        fields = self._reader.collect_fields(node_type.TYPE_NAME, nodes)
        is_proved = self._add_selection(node_type, key, fields, round_, sizes, is_loaded=False)
        if not is_proved or not _field_names(fields) <= node_type.KEY_FIELDS:
            self._count_call((node_type, key), key, sizes)

    def _add_reference(
        self, node_type: type[Any], key: Any, nodes: Sequence[FieldNode], round_: _Round, sizes: _ListSizes
    ) -> None:
        """Count as `references.follow_reference` loads: nothing if the key is enough or the object came in a page."""
        fields = self._reader.collect_fields(node_type.TYPE_NAME, nodes)
        is_listed = isinstance(key[-1], _UnknownId) and key[-1].is_listed
        if not is_listed and not _field_names(fields) <= node_type.KEY_FIELDS:
            self._count_call((node_type, key), key, sizes)
        self._add_selection(node_type, key, fields, round_, sizes, is_loaded=is_listed)

    def _add_selection(
        self,
        node_type: type[Any],
        key: Any,
        fields: GroupedFields,
        round_: _Round,
        sizes: _ListSizes,
        *,
        is_loaded: bool,
    ) -> bool:
        """Add the calls below a node. Returns whether a page among them proves that the node exists."""
        type_name, is_proved = node_type.TYPE_NAME, False
        round_when_loaded = round_ if is_loaded else _Round(round_)
        for nodes in fields.values():
            name = nodes[0].name.value
            if (planner := node_type.LISTS.get(name)) is not None:
                arguments = self._reader.argument_values(type_name, nodes[0])
                target = self._reader.target_type(type_name, nodes[0])
                if target is not None:
                    is_proved |= self._add_list(key, planner, arguments, nodes, target.name, round_, sizes)
            elif (reference := node_type.REFERENCES.get(name)) is not None:
                to_type, to_key = reference(key)
                self._add_reference(to_type, to_key, nodes, round_, sizes)
            else:
                self._add_object_field(type_name, key, nodes, round_when_loaded, sizes)
        return is_proved

    def _add_object_field(
        self, type_name: str, key: Any, nodes: Sequence[FieldNode], round_: _Round, sizes: _ListSizes
    ) -> None:
        """Add the calls of a field of a loaded object: it may refer to a node, itself or in the fields below it."""
        target = self._reader.target_type(type_name, nodes[0])
        if target is None:
            return
        if (node_type := _NODE_TYPES_BY_NAME.get(target.name)) is not None:
            symbol = self._symbol((type_name, nodes[0].name.value, key), key[-1])
            key_type = _KEY_TYPES[target.name]
            outer = (getattr(key, name) for name in key_type._fields[:-1])
            self._add_reference(node_type, key_type(*outer, symbol), nodes, round_, sizes)
            return
        for below in self._reader.possible_types(target):
            for inner in self._reader.collect_fields(below, nodes).values():
                self._add_object_field(below, key, inner, round_, sizes)

    def _add_list(
        self,
        key: Any,
        planner: Any,
        arguments: Mapping[str, Any] | None,
        nodes: Sequence[FieldNode],
        target: str,
        round_: _Round,
        sizes: _ListSizes,
    ) -> bool:
        """Add the pages of a list and the calls below its objects. Returns whether a page proves the owner."""
        plan, separate = self._plan_list(key, planner, arguments)
        if plan is None:
            self._count_call(("refused", target, key), key or (None,), sizes)
            return False
        owner = None if key is None else key[-1]
        size = plan.key.window.limit
        place = (plan.loader, plan.key._replace(window=plan.key.window._replace(limit=0)), separate)
        factors = tuple(sizes[each] for each in _lists_around(owner))
        self._count_pages(place, size, round_, factors)
        if isinstance(plan.key, MessagePageKey) and (plan.key.run_id is not None or dict(separate or ()).get("run_id")):
            walk = (place, "further", size)
            self._calls[walk] = _largest(self._calls.get(walk), (*factors, MAX_FURTHER_PAGES))
        each = self._symbol(place, owner, is_many=True, is_listed=True)
        node: Any = plan.make_node(SimpleNamespace(id=each))
        next_round, inner_sizes = _Round(round_), {**sizes, each: size}
        for selected in self._object_selections(target, nodes):
            fields = self._reader.collect_fields(type(node).TYPE_NAME, selected)
            self._add_selection(type(node), node.key, fields, next_round, inner_sizes, is_loaded=True)
        return plan.proves_owner and plan.key.window.after is None and not separate

    def _plan_list(
        self, key: Any, planner: Any, arguments: Mapping[str, Any] | None
    ) -> tuple[ConnectionPlan[Any] | None, tuple[tuple[str, Any], ...] | None]:
        """Plan a list; None if execution will refuse it.

        A cursor or a run id belongs to one of many lists at most, so the planner refuses it for a key with symbols.
        Such arguments are then left out of the plan and returned separately.
        """
        if arguments is None:
            return None, None
        owner = () if key is None else (key,)
        by_python_name = {PYTHON_ARGUMENT_NAMES.get(name, name): value for name, value in arguments.items()}
        try:
            return planner(self._planner_context, *owner, **by_python_name), None
        except GatewayError:
            separate = tuple((name, by_python_name.pop(name, None)) for name in ("after", "before", "run_id"))
        if key is None or not isinstance(key[-1], _UnknownId) or not any(value for _, value in separate):
            return None, None
        try:
            return planner(self._planner_context, *owner, **by_python_name), separate
        except GatewayError:
            return None, None

    def _object_selections(self, target: str, nodes: Sequence[FieldNode]) -> list[Sequence[FieldNode]]:
        """Find the selections on the objects of a list: in `nodes`, in `edges { node }`, or in the field itself."""
        if target in _NODE_TYPES_BY_NAME:
            return [nodes]
        selections: list[Sequence[FieldNode]] = []
        for inner in self._reader.collect_fields(target, nodes).values():
            below = self._reader.target_type(target, inner[0])
            if below is not None:
                selections += self._object_selections(below.name, inner)
        return selections

    def _add_payload(self, payload: str, nodes: Sequence[FieldNode], round_: _Round, *, has_added: bool) -> None:
        """Add the calls below a mutation's payload: its own object is loaded, the objects it refers to are not."""
        thread, own = self._symbol((payload, "thread"), None), self._symbol((payload, "own"), None)
        for inner in self._reader.collect_fields(payload, nodes).values():
            target = self._reader.target_type(payload, inner[0])
            definition = self._reader.field_definition(payload, inner[0])
            if target is None or definition is None:
                continue
            if self._reader.is_list_field(payload, inner[0]):
                if has_added:
                    self._add_list(
                        _KEY_TYPES["Thread"](thread), plan_newest_messages, {}, inner, target.name, round_, {}
                    )
                continue
            node_type, key_type = _NODE_TYPES_BY_NAME[target.name], _KEY_TYPES[target.name]
            parts = (thread,) if key_type is ThreadKey else (own,) if key_type is AssistantKey else (thread, own)
            key = key_type._make(parts)
            if definition.extensions["strawberry-definition"].base_resolver is None:
                fields = self._reader.collect_fields(target.name, inner)
                self._add_selection(node_type, key, fields, round_, {}, is_loaded=True)
            else:
                self._add_reference(node_type, key, inner, round_, {})

    def _symbol(self, identity: object, owner: object, *, is_many: bool = False, is_listed: bool = False) -> _UnknownId:
        if identity not in self._symbols:
            self._symbols[identity] = _UnknownId(owner, is_many=is_many, is_listed=is_listed)
        return self._symbols[identity]

    def _count_call(self, call: object, key: Sequence[Any], sizes: _ListSizes) -> None:
        factors = tuple(sizes[each] for each in _lists_around(key[-1]))
        self._calls[call] = _largest(self._calls.get(call), factors)

    def _count_pages(self, place: object, size: int, round_: _Round, factors: _Factors) -> None:
        first = min(size, UPSTREAM_PAGE_SIZE)
        rounds = self._first_pages.setdefault(place, {})
        same = rounds.get(round_)
        rounds[round_] = (first, factors) if same is None else (max(first, same[0]), _largest(same[1], factors))
        whole, rest = divmod(size, UPSTREAM_PAGE_SIZE)
        # Two walks request their further pages at different times, so only equal pages are certainly shared.
        if whole > 1:
            call, walk_factors = (place, "whole"), (*factors, whole - 1)
            self._calls[call] = _largest(self._calls.get(call), walk_factors)
        if whole and rest:
            call_of_rest = (place, whole, rest)
            self._calls[call_of_rest] = _largest(self._calls.get(call_of_rest), factors)


def _count_first_pages(rounds: Mapping[_Round, tuple[int, _Factors]]) -> int:
    """Count the first pages of one list from one place. A page is cut from a longer one of an earlier round."""
    loaded: dict[int, _Factors] = {}
    for round_, (size, factors) in rounds.items():
        earlier = round_.previous
        while earlier is not None:
            longer = rounds.get(earlier)
            if longer is not None and longer[0] >= size and all(map(int.__ge__, longer[1], factors)):
                break
            earlier = earlier.previous
        else:
            loaded[size] = _largest(loaded.get(size), factors)
    return sum(map(prod, loaded.values()))


def _field_names(fields: GroupedFields) -> set[str]:
    return {nodes[0].name.value for nodes in fields.values()}
