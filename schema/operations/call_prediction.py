"""Predicts the most upstream calls that an operation can make, before it is executed. Pure.

1. It walks the selections of the operation as execution will. Each field that loads says by the same function as in
   execution which page it shows or which node it refers to (`find_load`), here for a stand-in of its object.
2. An id that only an answer will contain is a symbol in a stand-in, an `UnknownId`. So every object, page and
   reference has a key, although most keys have symbols in them.
3. It records each call under that key, with the number of objects that the call may be made for: one factor for each
   list around it (`Factors`). Two selections that need the same call have the same key, so the call counts once.
4. The prediction is the sum over all calls of the product of their factors.

Calls that are shared count once:

- an object or a page counts once, however many selections need it. Pages of one list that begin at the same place
  share the longest one, if they are loaded in the same round or the longer one is loaded in an earlier round;
- a reference costs nothing if only fields of its key are selected. An object that came in a page, or a reference back
  to a known key (`message.thread`, `step.run`), is not loaded again;
- a lookup with only lists selected is proved by a page. `activeRun` is a page of runs.
- files that objects cite count together, by their upper bound (`upper_bounds.py`).
- a list that the gateway keeps costs nothing. Its nodes are references: each one that needs more than its key, and the
  fields that the gateway keeps, is a call.
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

from graphql import FieldNode, OperationType, get_named_type, get_nullable_type, is_list_type

from schema.contract.errors import GatewayError
from schema.contract.keys import KEY_TYPES, TYPE_NAMES, NodeKey
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE, PagingLimits
from schema.engine.selection_walker import TooManySelectionsError
from schema.graph.connections import ConnectionPlan, ListLoad
from schema.graph.documented_field import find_load
from schema.graph.field_loads import AgainLoad, CitedFileLoad, Lookup, LookupLoad, Reference, ReferenceLoad
from schema.graph.kept_lists import KeptListLoad
from schema.graph.node_selections import needs_only_key
from schema.graph.nodes import NODE_TYPES
from schema.operations.operation_reader import GroupedFields, OperationReader
from schema.operations.stand_ins import (
    Factors,
    Identity,
    Round,
    StandIn,
    UnknownId,
    find_identity,
    largest_factors,
    lists_around,
)
from schema.operations.upper_bounds import SNAPSHOT_SIZE, UpperBounds

_KEY_TYPES: Mapping[str, Any] = KEY_TYPES
"""The key types; here their parts may be symbols."""


_ListSizes: TypeAlias = Mapping["UnknownId", int]
"""The sizes of the lists around a selection, by the symbol of their objects."""


def predict_calls(
    reader: OperationReader, limits: PagingLimits, bounds: UpperBounds, event_type: str | None = None
) -> int:
    """Predict the most upstream calls of an operation; of a subscription, those of one event, of a type if it is given.

    The result is never above the `bounds` of `find_upper_bounds`, and equal to it if the operation unfolds to too many
    selections.
    """
    try:
        return min(bounds.calls, _predict(reader, limits, event_type) + bounds.files)
    except TooManySelectionsError:
        return bounds.calls


def _predict(reader: OperationReader, limits: PagingLimits, event_type: str | None) -> int:
    root_name, operation_type = reader.root_name, reader.operation.operation
    if root_name is None:
        return 0
    fields = reader.collect_fields(root_name, [reader.operation])
    if operation_type is OperationType.SUBSCRIPTION:
        return sum(_predict_event(reader, limits, root_name, nodes, event_type) for nodes in fields.values())
    if operation_type is not OperationType.MUTATION:
        return _predict_reads(reader, limits, root_name, fields)
    facts = [reader.field_facts(root_name, nodes[0]) for nodes in fields.values()]
    writes = sum(1 + (one.load is not None) for one in facts if one is not None)
    # Each write clears the loaders, so each field loads anew.
    return writes + sum(_predict_reads(reader, limits, root_name, {name: fields[name]}) for name in fields)


def _predict_reads(reader: OperationReader, limits: PagingLimits, root_name: str, fields: GroupedFields) -> int:
    counter = _CallCounter(reader, limits)
    counter.add_fields(root_name, None, fields, Round(), {})
    return counter.total()


def _predict_event(
    reader: OperationReader, limits: PagingLimits, root_name: str, nodes: Sequence[FieldNode], type_name: str | None
) -> int:
    """Predict the calls of one event, of the type that needs the most. Each event has loaders of its own."""
    target = reader.target_type(root_name, nodes[0])
    possible = () if target is None else reader.possible_types(target)
    most = 0
    for event_type in possible if type_name is None else (type_name,):
        counter = _CallCounter(reader, limits)
        counter.add_event(event_type, nodes)
        most = max(most, counter.total())
    return most


class _CallCounter:
    """Collects the calls of one root selection, each with its factors."""

    def __init__(self, reader: OperationReader, limits: PagingLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._symbols: dict[object, UnknownId] = {}
        self._calls: dict[object, Factors] = {}
        self._first_pages: dict[object, dict[Round, tuple[int, Factors]]] = {}

    def total(self) -> int:
        """Return the number of all calls."""
        return sum(map(prod, self._calls.values())) + sum(map(_count_first_pages, self._first_pages.values()))

    def add_event(self, event_type: str, nodes: Sequence[FieldNode]) -> None:
        """Add the calls of one event. References back to the objects that come with it need no call."""
        ids = {}
        for name, definition in self._reader.field_definitions(event_type).items():
            key_type = _KEY_TYPES.get(get_named_type(definition.type).name)
            if key_type is not None:
                is_many = is_list_type(get_nullable_type(definition.type))
                comes_with_event = find_load(definition) is None
                ids[key_type._fields[-1]] = self._symbol(name, None, is_many=is_many, is_listed=comes_with_event)
        event = StandIn(Identity(event_type, ids), self._symbol)
        self.add_fields(event_type, event, self._reader.collect_fields(event_type, nodes), Round(), {})

    def add_fields(
        self,
        type_name: str,
        owner: Any,
        fields: GroupedFields,
        round_: Round,
        sizes: _ListSizes,
        *,
        is_loaded: bool = True,
    ) -> bool:
        """Add the calls of some fields of an object, of a part of one, or of the root (`owner` is None).

        Returns whether a page among them proves that the object exists.
        """
        is_proved = False
        round_when_loaded = round_ if is_loaded else Round(round_)
        for nodes in fields.values():
            facts = self._reader.field_facts(type_name, nodes[0])
            if facts is None or (facts.load is None and facts.target is None) or isinstance(facts.load, CitedFileLoad):
                continue
            load = facts.load
            if isinstance(load, ListLoad):
                is_proved |= self._add_list(type_name, owner, load, nodes, round_, sizes)
            elif isinstance(load, ReferenceLoad):
                self._add_reference(load.find(owner), nodes, round_ if load.is_by_key else round_when_loaded, sizes)
            elif isinstance(load, LookupLoad):
                self._add_lookups(type_name, load, nodes, round_)
            elif isinstance(load, KeptListLoad):
                self._add_kept_list(type_name, load, nodes, round_, sizes)
            elif isinstance(load, AgainLoad) and getattr(owner, load.lacks) is True:
                self._count_call((type(owner), owner.key), owner.key, sizes)
            else:
                self._add_parts(type_name, owner, load, nodes, round_when_loaded, sizes)
        return is_proved

    def _add_parts(
        self, type_name: str, owner: Any, load: Any, nodes: Sequence[FieldNode], round_: Round, sizes: _ListSizes
    ) -> None:
        """Add the calls below a value that comes with its object: a part, or a node in an event or a payload."""
        target = self._reader.target_type(type_name, nodes[0])
        for below in () if target is None else self._reader.possible_types(target):
            place, known, own_id = find_identity(owner)
            known = self._reader.known_from_input(type_name, nodes[0]) if owner is None else known
            part: Any = StandIn(Identity((below, place), known, own_id), self._symbol)
            sizes_below = sizes
            if (key_type := _KEY_TYPES.get(below)) is not None:
                part = self._stand_in_node(key_type(*(getattr(owner, name) for name in key_type._fields)))
                if isinstance(load, AgainLoad):
                    setattr(part, load.lacks, True)
                sizes_below = {**sizes, **dict.fromkeys(lists_around(part.key[-1]), SNAPSHOT_SIZE)}
            self.add_fields(below, part, self._reader.collect_fields(below, nodes), round_, sizes_below)

    def _stand_in_node(self, key: Any) -> Any:
        """Make a node of a key with symbols. Its wire object is a stand-in."""
        node = NODE_TYPES[type(key)](key=key)
        node.wire = StandIn(find_identity(node), self._symbol)
        return node

    def _add_lookups(self, type_name: str, load: LookupLoad, nodes: Sequence[FieldNode], round_: Round) -> None:
        arguments = self._reader.argument_values(type_name, nodes[0])
        try:
            found = load.find(None, **arguments) if arguments is not None else ()
        except GatewayError:
            return
        keys_by_type: dict[type[NodeKey], set[Any]] = {}
        for one in [found] if isinstance(found, Lookup) else found:
            if isinstance(one, Lookup):  # execution refuses the others alone
                keys_by_type.setdefault(type(one.key), set()).add(one.key)
        for key_type, keys in keys_by_type.items():
            if len(keys) == 1:
                self._add_lookup(keys.pop(), nodes, round_, {})
            else:
                # One symbol for all of them, because the selection on each is the same.
                each = self._symbol((key_type, frozenset(keys)), None, is_many=True)
                symbolic_key = _KEY_TYPES[TYPE_NAMES[key_type]]._make([each] * len(key_type._fields))
                self._add_lookup(symbolic_key, nodes, round_, {each: len(keys)})

    def _add_lookup(self, key: Any, nodes: Sequence[FieldNode], round_: Round, sizes: _ListSizes) -> None:
        """Count as execution looks up: the object, unless a page proves that it exists."""
        node, fields, is_key_enough = self._select(key, nodes)
        is_proved = self.add_fields(node.TYPE_NAME, node, fields, round_, sizes, is_loaded=False)
        if not (is_proved and is_key_enough):
            self._count_call((type(node), key), key, sizes)

    def _add_reference(
        self, found: Reference | None, nodes: Sequence[FieldNode], round_: Round, sizes: _ListSizes
    ) -> None:
        """Count as execution follows a reference: nothing if the key is enough or the object came in a page."""
        if found is None:
            return
        _, key = found
        node, fields, is_key_enough = self._select(key, nodes)
        is_listed = isinstance(key[-1], UnknownId) and key[-1].is_listed
        if not is_listed and not is_key_enough:
            self._count_call((type(node), key), key, sizes)
        self.add_fields(node.TYPE_NAME, node, fields, round_, sizes, is_loaded=is_listed)

    def _select(self, key: Any, nodes: Sequence[FieldNode]) -> tuple[Any, GroupedFields, bool]:
        """Return a node of a key, the fields that are selected on it, and whether its key is enough for them."""
        node = self._stand_in_node(key)
        fields = self._reader.collect_fields(node.TYPE_NAME, nodes)
        definitions = self._reader.field_definitions(node.TYPE_NAME)
        names = {selected[0].name.value for selected in fields.values()}
        return node, fields, all(needs_only_key(type(node), name, definitions) for name in names)

    def _add_list(
        self,
        type_name: str,
        owner: Any,
        load: ListLoad,
        nodes: Sequence[FieldNode],
        round_: Round,
        sizes: _ListSizes,
    ) -> bool:
        """Add the pages of a list and the calls below its objects. Returns whether a page proves the owner."""
        target = self._reader.target_type(type_name, nodes[0])
        if target is None:
            return False
        own_id = find_identity(owner).own_id
        plan, separate = self._plan_list(owner, load, self._reader.argument_values(type_name, nodes[0]))
        if plan is None:
            self._count_call(("refused", target.name, find_identity(owner).place), (own_id,), sizes)
            return False
        if not isinstance(plan, ConnectionPlan):
            return False
        size = plan.key.window.limit
        place = (plan.kind, plan.key._replace(window=plan.key.window._replace(limit=0)), separate)
        factors = tuple(sizes[each] for each in lists_around(own_id))
        self._count_pages(place, size, round_, factors)
        if isinstance(plan.key, MessagePageKey) and (plan.key.run_id is not None or dict(separate or ()).get("run_id")):
            walk = (place, "further", size)
            self._calls[walk] = largest_factors(self._calls.get(walk), (*factors, MAX_FURTHER_PAGES))
        each = self._symbol(place, own_id, is_many=True, is_listed=True)
        node = self._stand_in_node(plan.make_node(SimpleNamespace(id=each)).key)
        next_round, inner_sizes = Round(round_), {**sizes, each: size}
        for selected in self._object_selections(target.name, nodes):
            fields = self._reader.collect_fields(node.TYPE_NAME, selected)
            self.add_fields(node.TYPE_NAME, node, fields, next_round, inner_sizes)
        return plan.is_proof and not separate

    def _add_kept_list(
        self, type_name: str, load: KeptListLoad, nodes: Sequence[FieldNode], round_: Round, sizes: _ListSizes
    ) -> None:
        """Add the calls of the nodes of a list that the gateway keeps. The list itself is none."""
        arguments = self._reader.argument_values(type_name, nodes[0])
        size = None if arguments is None else load.page_size(self._limits, arguments)
        target = self._reader.target_type(type_name, nodes[0])
        if size is None or target is None:
            return  # execution will refuse it
        place = (load, repr(sorted((arguments or {}).items())))
        each = self._symbol(place, None, is_many=True)
        *parts, _ = _KEY_TYPES[load.node_type.TYPE_NAME]._fields
        key = _KEY_TYPES[load.node_type.TYPE_NAME](*(self._symbol((place, part), each) for part in parts), each)
        for selected in self._object_selections(target.name, nodes):
            self._add_reference((load.node_type, key), selected, round_, {**sizes, each: size})

    def _plan_list(
        self, owner: Any, load: ListLoad, arguments: dict[str, Any] | None
    ) -> tuple[Any, tuple[tuple[str, Any], ...] | None]:
        """Plan a list, or find the value that needs no page; None if execution will refuse it.

        A cursor or a run id belongs to one of many lists at most, so the plan refuses it for a key with symbols.
        Such arguments are then left out of the plan and returned separately.
        """
        if arguments is None:
            return None, None
        try:
            return load.plan(owner, self._limits, **arguments), None
        except GatewayError:
            separate = tuple((name, arguments.pop(name, None)) for name in ("after", "before", "run_id"))
        if not isinstance(find_identity(owner).own_id, UnknownId) or not any(value for _, value in separate):
            return None, None
        try:
            return load.plan(owner, self._limits, **arguments), separate
        except GatewayError:
            return None, None

    def _object_selections(self, target: str, nodes: Sequence[FieldNode]) -> list[Sequence[FieldNode]]:
        """Find the selections on the objects of a list: in `nodes`, in `edges { node }`, or in the field itself."""
        if target in _KEY_TYPES:
            return [nodes]
        selections: list[Sequence[FieldNode]] = []
        for inner in self._reader.collect_fields(target, nodes).values():
            below = self._reader.target_type(target, inner[0])
            if below is not None:
                selections += self._object_selections(below.name, inner)
        return selections

    def _symbol(
        self, identity: object, owner: object = None, *, is_many: bool = False, is_listed: bool = False
    ) -> UnknownId:
        if identity not in self._symbols:
            self._symbols[identity] = UnknownId(owner, is_many=is_many, is_listed=is_listed)
        return self._symbols[identity]

    def _count_call(self, call: object, key: Sequence[Any], sizes: _ListSizes) -> None:
        factors = tuple(sizes[each] for each in lists_around(key[-1]))
        self._calls[call] = largest_factors(self._calls.get(call), factors)

    def _count_pages(self, place: object, size: int, round_: Round, factors: Factors) -> None:
        first = min(size, UPSTREAM_PAGE_SIZE)
        rounds = self._first_pages.setdefault(place, {})
        same = rounds.get(round_)
        rounds[round_] = (first, factors) if same is None else (max(first, same[0]), largest_factors(same[1], factors))
        whole, rest = divmod(size, UPSTREAM_PAGE_SIZE)
        # Two walks request their further pages at different times, so only equal pages are certainly shared.
        if whole > 1:
            call, walk_factors = (place, "whole"), (*factors, whole - 1)
            self._calls[call] = largest_factors(self._calls.get(call), walk_factors)
        if whole and rest:
            call_of_rest = (place, whole, rest)
            self._calls[call_of_rest] = largest_factors(self._calls.get(call_of_rest), factors)


def _count_first_pages(rounds: Mapping[Round, tuple[int, Factors]]) -> int:
    """Count the first pages of one list from one place. A page is cut from a longer one of an earlier round."""
    loaded: dict[int, Factors] = {}
    for round_, (size, factors) in rounds.items():
        earlier = round_.previous
        while earlier is not None:
            longer = rounds.get(earlier)
            if longer is not None and longer[0] >= size and all(map(int.__ge__, longer[1], factors)):
                break
            earlier = earlier.previous
        else:
            loaded[size] = largest_factors(loaded.get(size), factors)
    return sum(map(prod, loaded.values()))
