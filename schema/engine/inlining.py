"""Inlines functions that only return an expression into the source of a plan, so that a simple field costs no call.

For the function of `Message.status`,

    def status(self):
        return recognize_optional(MessageStatus, self.wire.status)

it writes `None if parent.wire.status is None else recognize_8(MessageStatus_9, parent.wire.status)`: the expressions of
both functions, with the names that they know as constants of the plan.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, NewType, TypeAlias, cast

ARGUMENT = "parent"
"""The variable of the plan that stands for the function's parameter."""

MAX_DEPTH = 3
"""The most functions that are inlined into each other."""

Bind: TypeAlias = Callable[[str, Any], str]
"""Binds a constant to a name that is like the given one, and returns the name."""

# Names that an expression defines itself, what has to wait, and texts with values in them.
_REFUSED = (
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.NamedExpr,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.JoinedStr,
)


class WrittenExpression(NamedTuple):
    """The source of an expression with placeholders for its constants, and the constants with their names."""

    text: str
    constants: Sequence[tuple[str, Any]]


class Expression(NamedTuple):
    """The expression that a function returns, and the names of its parameters."""

    parameters: list[str]
    body: ast.expr


def inline_call(function: Callable[[Any], Any], bind: Bind) -> str:
    """Write the call of a function with `ARGUMENT`: as the function's expression, if it has no more than that."""
    if isinstance(function, attrgetter):
        _, (path,) = cast("tuple[Any, tuple[str]]", function.__reduce__())
        return f"{ARGUMENT}.{path}"
    written = write_expression(function) if isinstance(function, FunctionType) else None
    if written is None:
        return f"{bind('get', function)}({ARGUMENT})"
    for number, (name, constant) in enumerate(written.constants):
        written = written._replace(text=written.text.replace(_placeholder(number), bind(name, constant)))
    return written.text


@lru_cache(maxsize=1_000)
def write_expression(function: FunctionType) -> WrittenExpression | None:
    """Write the expression that a function of one parameter returns. Returns None if it does more."""
    expression = read_expression(function)
    if expression is None or len(expression.parameters) != 1:
        return None
    constants: list[tuple[str, Any]] = []

    def bind(name: str, constant: Any) -> str:
        constants.append((name, constant))
        return _placeholder(len(constants) - 1)

    values = {expression.parameters[0]: ast.Name(ARGUMENT, ast.Load())}
    inlined = _Inliner(function.__globals__, values, bind, MAX_DEPTH).visit(deepcopy(expression.body))
    return WrittenExpression(ast.unparse(inlined), constants)


def _placeholder(number: int) -> str:
    return f"constant_{number:03}"


@lru_cache(maxsize=1_000)
def read_expression(function: FunctionType) -> Expression | None:
    """Read the expression that a function returns. Returns None if it does more, or if its source is not installed."""
    if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
        return None
    try:
        parsed = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError, TypeError):
        return None
    if not isinstance(parsed, ast.FunctionDef) or parsed.name != function.__name__:
        return None
    arguments = parsed.args
    body = parsed.body[1:] if ast.get_docstring(parsed) is not None else parsed.body
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or len(body) != 1:
        return None
    returned = body[0].value if isinstance(body[0], ast.Return) else None
    if returned is None or any(isinstance(node, _REFUSED) for node in ast.walk(returned)):
        return None
    return Expression([one.arg for one in (*arguments.posonlyargs, *arguments.args)], returned)


class _Inliner(ast.NodeTransformer):
    """Replaces the names in an expression: parameters by their values, names of the module and texts by constants."""

    def __init__(self, names: Mapping[str, Any], values: Mapping[str, ast.expr], bind: Bind, depth: int) -> None:
        self._names = names
        self._values = values
        self._bind = bind
        self._depth = depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._values:
            return deepcopy(self._values[node.id])
        if node.id in self._names:
            return ast.Name(self._bind(node.id, self._names[node.id]), ast.Load())
        return node  # a builtin

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            return ast.Name(self._bind("text", node.value), ast.Load())
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = self._find_called(node.func)
        if isinstance(called, NewType):
            converted: ast.AST = self.visit(node.args[0])
            return converted
        inner = read_expression(called) if isinstance(called, FunctionType) and self._depth else None
        if inner is None or node.keywords or len(node.args) != len(inner.parameters):
            return self.generic_visit(node)
        arguments: list[ast.expr] = [self.visit(one) for one in node.args]
        if not _may_be_moved(arguments):
            return ast.Call(self.visit(node.func), arguments, [])
        values = dict(zip(inner.parameters, arguments, strict=True))
        inlined: ast.AST = _Inliner(called.__globals__, values, self._bind, self._depth - 1).visit(deepcopy(inner.body))
        return inlined

    def _find_called(self, node: ast.expr) -> Any:
        """Find the function that a name of the module, or of a module in it, stands for."""
        if isinstance(node, ast.Name) and node.id not in self._values:
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(module := self._find_called(node.value), ModuleType):
            return getattr(module, node.attr, None)
        return None


def _may_be_moved(arguments: list[ast.expr]) -> bool:
    """Whether arguments may be evaluated where they are used: names, and at most one attribute, which might raise."""
    attributes = 0
    for argument in arguments:
        value = argument
        while isinstance(value, ast.Attribute):
            value = value.value
        if not isinstance(value, ast.Name):
            return False
        attributes += value is not argument
    return attributes <= 1
