"""Predicts how many upstream calls an operation makes at most, before it is executed. Pure.

It follows the document as execution will and asks the nodes' own planners which pages are shown, with symbols in
place of the ids that only an answer will tell. What the gateway shares counts once:

- one object, and one page, however many selections ask for it; pages of one list from one place share the longest
  where they are asked for at the same time or the longer comes first;
- a reference of which only fields of the key are selected costs nothing, and what came in a page or leads back to a
  known key (`message.thread`, `step.run`) is not loaded again;
- a lookup with only lists selected is proved by a page; `activeRun` is a page of runs.

Of a subscription it predicts one event, of the type that takes most: what comes with it costs nothing, and what is
selected below that is loaded for each event anew. A snapshot is taken to hold `SNAPSHOT_SIZE` messages and steps.

Everything below a page counts for as many objects as the page may hold, although the list may be shorter and many
of its objects may refer to the same one. A page above the upstream's limit counts each upstream page. Not foreseen
are calls that are sent again after a failure, and upstreams whose pages are shorter than they were asked to be. Objects
that are only referred to count one each, although the client may find three or more of one thread by one list; a list
that held none of them would be one call more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import SimpleNamespace
from typing import Any, TypeAlias

from graphql import FieldNode, OperationType

from schema.contract.errors import GatewayError
from schema.contract.keys import KEY_TYPES, TYPE_NAMES, AssistantKey, NodeKey, ThreadKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, PagingLimits
from schema.graph.assistant_node import plan_assistants
from schema.graph.connections import ConnectionPlan
from schema.graph.id_arguments import read_id, read_node_id
from schema.graph.nodes import NODE_TYPES
from schema.graph.queries import MAX_IDS
from schema.graph.references import PYTHON_NAMES
from schema.operations.call_upper_bound import SNAPSHOT_SIZE, call_upper_bound
from schema.operations.operation_reader import NODE_INTERFACE, Fields, OperationReader, TooManySelectionsError

_KEY_TYPES: Mapping[str, Any] = KEY_TYPES
"""The key types, made of symbols here."""

_NODE_TYPES_BY_NAME: Mapping[str, type[Any]] = {TYPE_NAMES[key]: node_type for key, node_type in NODE_TYPES.items()}
_READS_BEFORE_WRITING = {"submitToolOutputs": 1}

_Extent: TypeAlias = tuple[int, ...]
_Sizes: TypeAlias = Mapping["_Each", int]


def predict_calls(reader: OperationReader, limits: PagingLimits) -> int:
    """Bound the upstream calls of an operation, of a subscription those of one event.

    It is never above the linear bound, which is all there is for an operation that unfolds to too many selections.
    """
    bound = call_upper_bound(reader, limits.max_page_size)
    try:
        return min(bound, _predict(reader, limits))
    except TooManySelectionsError:
        return bound


def _predict(reader: OperationReader, limits: PagingLimits) -> int:
    root_name, kind = reader.root_name, reader.operation.operation
    if root_name is None:
        return 0
    fields = reader.collect(root_name, [reader.operation])
    if kind is OperationType.SUBSCRIPTION:
        return sum(_predict_event(reader, limits, root_name, nodes) for nodes in fields.values())
    if kind is not OperationType.MUTATION:
        return _predict_reads(reader, limits, root_name, fields)
    names = [nodes[0].name.value for nodes in fields.values() if reader.definition(root_name, nodes[0])]
    writes = sum(1 + _READS_BEFORE_WRITING.get(name, 0) for name in names)
    # What was loaded is forgotten after each write.
    return writes + sum(_predict_reads(reader, limits, root_name, {name: fields[name]}) for name in fields)


def _predict_reads(reader: OperationReader, limits: PagingLimits, root_name: str, fields: Fields) -> int:
    prediction = _Prediction(reader, limits)
    moment = _Moment()
    for nodes in fields.values():
        prediction.enter(root_name, nodes, moment)
    return prediction.total()


def _predict_event(reader: OperationReader, limits: PagingLimits, root_name: str, nodes: Sequence[FieldNode]) -> int:
    """Bound the calls of one event, of whichever type takes most; it is rendered by loaders of its own."""
    target = reader.target(root_name, nodes[0])
    most = 0
    for event_type in () if target is None else reader.object_types(target):
        prediction = _Prediction(reader, limits)
        prediction.enter_event(event_type, nodes)
        most = max(most, prediction.total())
    return most


class _Each:
    """Stands in a key for ids that only an answer will tell: those of each object that a place in the query means."""

    __slots__ = ("is_listed", "many")

    def __init__(self, owner: object, *, is_many: bool, is_listed: bool) -> None:
        self.many: tuple[_Each, ...] = (*_many(owner), self) if is_many else _many(owner)
        """What there may be several of, from the outermost: the pages, or lists of ids, that lead here."""
        self.is_listed = is_listed
        """Whether the object came in a page, and so is at hand wherever else its key turns up."""


class _Moment:
    """When something is asked for: what one selection asks at once. Whatever follows an answer has its own moment."""

    __slots__ = ("before",)

    def __init__(self, before: _Moment | None = None) -> None:
        self.before = before


class _Names:
    """Names a loader where a planner would take it."""

    def __getattr__(self, name: str) -> str:
        return name


def _many(part: object) -> tuple[_Each, ...]:
    return part.many if isinstance(part, _Each) else ()


def _widest(left: _Extent | None, right: _Extent) -> _Extent:
    return right if left is None else tuple(map(max, left, right))


class _Prediction:
    """The calls of one root selection, each with its extent: how many objects it may be made for, by level."""

    def __init__(self, reader: OperationReader, limits: PagingLimits) -> None:
        self._reader = reader
        self._planning: Any = SimpleNamespace(limits=limits, loaders=_Names())
        self._symbols: dict[object, _Each] = {}
        self._calls: dict[object, _Extent] = {}
        self._pages: dict[object, dict[_Moment, tuple[int, _Extent]]] = {}

    def total(self) -> int:
        """Add up all calls."""
        return sum(map(prod, self._calls.values())) + sum(map(_first_pages, self._pages.values()))

    def enter(self, root_name: str, nodes: Sequence[FieldNode], moment: _Moment) -> None:
        """Follow one field of the operation."""
        target = self._reader.target(root_name, nodes[0])
        given = None if target is None else self._reader.arguments(root_name, nodes[0])
        if target is None or given is None:
            return
        if "input" in given:
            self._answer(target.name, nodes, moment)
        elif "id" in given or "ids" in given:
            ids = given["ids"] if "ids" in given else [given["id"]]
            self._lookup(target.name, ids, nodes, moment)
        else:
            self._list(None, plan_assistants, given, nodes, target.name, moment, {})

    def _lookup(self, type_name: str, ids: Sequence[str], nodes: Sequence[FieldNode], moment: _Moment) -> None:
        if len(ids) > MAX_IDS:
            return
        found = set()
        for text in ids:
            try:
                found.add(_read_key(type_name, text))
            except GatewayError:  # one that is refused takes no other along
                continue
        by_type: dict[type[NodeKey], set[NodeKey]] = {}
        for key in found:
            by_type.setdefault(type(key), set()).add(key)
        for key_type, keys in by_type.items():
            node_type = NODE_TYPES[key_type]
            if len(keys) == 1:
                self._find(node_type, keys.pop(), nodes, moment, {})
            else:
                # One walk for all of them: what is selected on each is the same.
                each = self._each((key_type, frozenset(keys)), None, is_many=True)
                key = _KEY_TYPES[TYPE_NAMES[key_type]]._make([each] * len(key_type._fields))
                self._find(node_type, key, nodes, moment, {each: len(keys)})

    def _find(self, node_type: type[Any], key: Any, nodes: Sequence[FieldNode], moment: _Moment, sizes: _Sizes) -> None:
        """Count as `references.find` loads: the object, unless a page proves that it is there."""
        fields = self._reader.collect(node_type.TYPE_NAME, nodes)
        is_proved = self._walk(node_type, key, fields, moment, sizes, at_hand=False)
        if not is_proved or not _names(fields) <= node_type.KEY_FIELDS:
            self._count((node_type, key), key, sizes)

    def _refer(
        self, node_type: type[Any], key: Any, nodes: Sequence[FieldNode], moment: _Moment, sizes: _Sizes
    ) -> None:
        """Count as `references.refer` loads: nothing where the key is enough or the object came in a page."""
        fields = self._reader.collect(node_type.TYPE_NAME, nodes)
        is_listed = isinstance(key[-1], _Each) and key[-1].is_listed
        if not is_listed and not _names(fields) <= node_type.KEY_FIELDS:
            self._count((node_type, key), key, sizes)
        self._walk(node_type, key, fields, moment, sizes, at_hand=is_listed)

    def _walk(
        self, node_type: type[Any], key: Any, fields: Fields, moment: _Moment, sizes: _Sizes, *, at_hand: bool
    ) -> bool:
        """Follow what is selected on a node; tells whether a page among it proves that the node is there."""
        type_name, is_proved = node_type.TYPE_NAME, False
        loaded = moment if at_hand else _Moment(moment)
        for nodes in fields.values():
            name = nodes[0].name.value
            if (planner := node_type.LISTS.get(name)) is not None:
                given = self._reader.arguments(type_name, nodes[0])
                target = self._reader.target(type_name, nodes[0])
                if target is not None:
                    is_proved |= self._list(key, planner, given, nodes, target.name, moment, sizes)
            elif (reference := node_type.REFERENCES.get(name)) is not None:
                to_type, to_key = reference(key)
                self._refer(to_type, to_key, nodes, moment, sizes)
            else:
                self._follow(type_name, key, nodes, loaded, sizes)
        return is_proved

    def _follow(self, type_name: str, key: Any, nodes: Sequence[FieldNode], moment: _Moment, sizes: _Sizes) -> None:
        """Follow a field of the object itself, which may name another object or have such a field below it."""
        target = self._reader.target(type_name, nodes[0])
        if target is None:
            return
        if (node_type := _NODE_TYPES_BY_NAME.get(target.name)) is not None:
            each = self._each((type_name, nodes[0].name.value, key), key[-1])
            key_type = _KEY_TYPES[target.name]
            outer = (getattr(key, name) for name in key_type._fields[:-1])
            self._refer(node_type, key_type(*outer, each), nodes, moment, sizes)
            return
        for below in self._reader.object_types(target):
            for inner in self._reader.collect(below, nodes).values():
                self._follow(below, key, inner, moment, sizes)

    def _list(
        self,
        key: Any,
        planner: Any,
        given: Mapping[str, Any] | None,
        nodes: Sequence[FieldNode],
        target: str,
        moment: _Moment,
        sizes: _Sizes,
    ) -> bool:
        """Count the pages of a list and follow what is selected on its objects; tells whether they prove the owner."""
        plan, apart = self._plan(key, planner, given)
        if plan is None:
            self._count(("refused", target, key), key or (None,), sizes)
            return False
        owner = None if key is None else key[-1]
        size = plan.key.window.limit
        place = (plan.loader, plan.key._replace(window=plan.key.window._replace(limit=0)), apart)
        self._count_pages(place, size, moment, tuple(sizes[each] for each in _many(owner)))
        each = self._each(place, owner, is_many=True, is_listed=True)
        node: Any = plan.make_node(SimpleNamespace(id=each))
        here, inner_sizes = _Moment(moment), {**sizes, each: size}
        for selected in self._selections_of_objects(target, nodes):
            fields = self._reader.collect(type(node).TYPE_NAME, selected)
            self._walk(type(node), node.key, fields, here, inner_sizes, at_hand=True)
        return plan.proves_owner and plan.key.window.after is None and not apart

    def _plan(
        self, key: Any, planner: Any, given: Mapping[str, Any] | None
    ) -> tuple[ConnectionPlan[Any] | None, object]:
        """Plan a list; what names one object of one of many lists is set apart, since it fits at most one of them."""
        owner = () if key is None else (key,)
        arguments = {PYTHON_NAMES.get(name, name): value for name, value in (given or {}).items()}
        if given is None:
            return None, None
        try:
            return planner(self._planning, *owner, **arguments), None
        except GatewayError:
            apart = tuple((name, arguments.pop(name, None)) for name in ("after", "before", "run_id"))
        if key is None or not isinstance(key[-1], _Each) or not any(value for _, value in apart):
            return None, None
        try:
            return planner(self._planning, *owner, **arguments), apart
        except GatewayError:
            return None, None

    def _selections_of_objects(self, target: str, nodes: Sequence[FieldNode]) -> list[Sequence[FieldNode]]:
        """Find what is selected on the objects of a list: below `nodes`, below `edges { node }`, or right here."""
        if target in _NODE_TYPES_BY_NAME:
            return [nodes]
        found: list[Sequence[FieldNode]] = []
        for inner in self._reader.collect(target, nodes).values():
            below = self._reader.target(target, inner[0])
            if below is not None:
                found += self._selections_of_objects(below.name, inner)
        return found

    def _answer(self, payload: str, nodes: Sequence[FieldNode], moment: _Moment) -> None:
        """Follow a mutation's payload: its own object is at hand, what it refers to is not."""
        thread, own = self._each((payload, "thread"), None), self._each((payload, "own"), None)
        for inner in self._reader.collect(payload, nodes).values():
            target = self._reader.target(payload, inner[0])
            definition = self._reader.definition(payload, inner[0])
            if target is None or definition is None:
                continue
            node_type, key_type = _NODE_TYPES_BY_NAME[target.name], _KEY_TYPES[target.name]
            parts = (thread,) if key_type is ThreadKey else (own,) if key_type is AssistantKey else (thread, own)
            key = key_type._make(parts)
            if definition.extensions["strawberry-definition"].base_resolver is None:
                fields = self._reader.collect(target.name, inner)
                self._walk(node_type, key, fields, moment, {}, at_hand=True)
            else:
                self._refer(node_type, key, inner, moment, {})

    def enter_event(self, event_type: str, nodes: Sequence[FieldNode]) -> None:
        """Follow what is selected on an event; the objects that come with it are at hand, as those of a page are."""
        moment = _Moment()
        thread = self._each("thread", None)
        # Where the run comes with the event, so do the references that lead back to it.
        run = self._each("run", None, is_listed="run" in self._reader.fields_of(event_type))
        for inner in self._reader.collect(event_type, nodes).values():
            name, target = inner[0].name.value, self._reader.target(event_type, inner[0])
            if target is None:
                continue
            is_many = self._reader.is_list(event_type, inner[0])
            own = run if target.name == "Run" else self._each(name, None, is_many=is_many, is_listed=True)
            node_type, key_type = _NODE_TYPES_BY_NAME[target.name], _KEY_TYPES[target.name]
            key = key_type(thread, run, own) if target.name == "RunStep" else key_type(thread, own)
            sizes = {own: SNAPSHOT_SIZE} if is_many else {}
            self._walk(node_type, key, self._reader.collect(target.name, inner), moment, sizes, at_hand=True)

    def _each(self, identity: object, owner: object, *, is_many: bool = False, is_listed: bool = False) -> _Each:
        if identity not in self._symbols:
            self._symbols[identity] = _Each(owner, is_many=is_many, is_listed=is_listed)
        return self._symbols[identity]

    def _count(self, call: object, key: Sequence[Any], sizes: _Sizes) -> None:
        extent = tuple(sizes[each] for each in _many(key[-1]))
        self._calls[call] = _widest(self._calls.get(call), extent)

    def _count_pages(self, place: object, size: int, moment: _Moment, extent: _Extent) -> None:
        first = min(size, UPSTREAM_PAGE_SIZE)
        asked = self._pages.setdefault(place, {})
        earlier = asked.get(moment)
        asked[moment] = (first, extent) if earlier is None else (max(first, earlier[0]), _widest(earlier[1], extent))
        whole, rest = divmod(size, UPSTREAM_PAGE_SIZE)
        # The further pages of two walks are asked for at different times: only equal ones are surely shared.
        if whole > 1:
            call, extent_of_walk = (place, "whole"), (*extent, whole - 1)
            self._calls[call] = _widest(self._calls.get(call), extent_of_walk)
        if whole and rest:
            call_of_rest = (place, whole, rest)
            self._calls[call_of_rest] = _widest(self._calls.get(call_of_rest), extent)


def _first_pages(asked: Mapping[_Moment, tuple[int, _Extent]]) -> int:
    """Count the first pages of one list from one place; one is cut from a longer one that was asked for before."""
    kept: dict[int, _Extent] = {}
    for moment, (size, extent) in asked.items():
        earlier = moment.before
        while earlier is not None:
            other = asked.get(earlier)
            if other is not None and other[0] >= size and all(map(int.__ge__, other[1], extent)):
                break
            earlier = earlier.before
        else:
            kept[size] = _widest(kept.get(size), extent)
    return sum(map(prod, kept.values()))


def _names(fields: Fields) -> set[str]:
    return {nodes[0].name.value for nodes in fields.values()}


def _read_key(type_name: str, text: str) -> NodeKey:
    return read_node_id(text) if type_name == NODE_INTERFACE else read_id(KEY_TYPES[type_name], text)
