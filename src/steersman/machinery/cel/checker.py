"""Types of an expression, bottom up: every node gets its type, every call its overloads. What does not fit is complained of.

Source: cel-spec's type checking. Literal arguments that cannot work (a bad pattern, duration, format) are complaints as well.
Not here: what it costs (cost/), what runs (planner.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.machinery.cel import types, unify
from steersman.machinery.cel.ast import (
    Call,
    Comprehension,
    Ident,
    ListOf,
    Literal,
    MapOf,
    Node,
    ObjectOf,
    Select,
    children,
    dotted,
)
from steersman.machinery.cel.errors import Issue
from steersman.machinery.cel.functions import Overload
from steersman.machinery.cel.types import BOOL, DYN, ERROR, Type
from steersman.machinery.cel.unify import Bindings
from steersman.machinery.cel.values import kind_of

_IN_CONTAINER = "(in container '')"
_MAX_VISITS = 100_000
"""optMap() doubles what it stands on; nested, it would grow without end."""


class Checker:
    """One expression. variables, types, functions: what names mean in it."""

    def __init__(
        self, variables: Mapping[str, Type], named: Mapping[str, Type], functions: Mapping[str, Sequence[Overload]]
    ) -> None:
        self.issues: list[Issue] = []
        self.references: set[str] = set()
        """Variables that the expression mentions."""
        self._variables = variables
        self._named = named
        self._functions = functions
        self._scopes: list[dict[str, Type]] = []
        self._bindings = Bindings()
        self._fresh = 0
        self._visits = 0

    def check(self, root: Node) -> Type:
        """The type of the whole. Look at `issues` afterwards."""
        self._check(root)
        _settle(root, self._bindings)
        return root.type

    def _check(self, node: Node) -> Type:
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise RecursionError
        node.type = getattr(self, _METHODS[type(node)])(node)
        return node.type

    def _complain(self, node: Node, message: str) -> Type:
        self.issues.append(Issue(node.place, message))
        return ERROR

    def _shown(self, item: Type) -> Type:
        return unify.substitute(self._bindings, item, open_is_dyn=True)

    def _fits(self, given: Type, wanted: Type) -> bool:
        return unify.assignable(self._bindings, [given], [wanted])

    def _mismatch(self, node: Node, wanted: Type, found: Type) -> Type:
        return self._complain(node, f"expected type '{self._shown(wanted)}' but found '{self._shown(found)}'")

    def _literal(self, node: Literal) -> Type:
        return kind_of(node.value)

    # Names

    def _lookup(self, name: str) -> tuple[Type | None, Type | None]:
        """The type of a variable, or of a type's name and the type it names."""
        rooted = name.startswith(".")
        name = name.removeprefix(".")
        for scope in () if rooted else reversed(self._scopes):
            if name in scope:
                return scope[name], None
        found = self._variables.get(name)
        if found is not None:
            self.references.add(name)
            return found, None
        named = self._named.get(name)
        return (types.type_of(named), named) if named is not None else (None, None)

    def _ident(self, node: Ident) -> Type:
        found, node.constant = self._lookup(node.name)
        if found is None:
            return self._complain(node, f"undeclared reference to '{node.name}' {_IN_CONTAINER}")
        return found

    def _select(self, node: Select) -> Type:
        name = dotted(node)
        if name and not node.test_only:
            found, constant = self._lookup(name)
            if found is not None:
                node.variable, node.constant = name, constant
                return found
        operand = self._shallow(self._check(node.operand))
        found = self._field(node, operand, node.name, optional=False)
        return BOOL if node.test_only else found

    def _shallow(self, item: Type) -> Type:
        return unify.substitute(self._bindings, item, open_is_dyn=False)

    def _field(self, node: Node, operand: Type, name: str, *, optional: bool) -> Type:
        inner = operand.params[0] if unify.is_optional(operand) else operand
        optional = optional or unify.is_optional(operand)
        if inner.kind == "map":
            found = inner.params[1]
        elif inner.kind == "object":
            field = inner.fields.get(name)
            if field is None:
                return self._complain(node, f"undefined field '{name}'")
            found = field.type
        elif inner.kind == "param":
            # A parameter that becomes dyn: whatever it is, something can be selected from it.
            self._fits(DYN, inner)
            found = DYN
        elif inner.is_dyn:
            found = DYN
        else:
            return self._complain(node, f"type '{self._shown(inner)}' does not support field selection")
        return types.optional_of(found) if optional else found

    # Calls

    def _call(self, node: Call) -> Type:
        if node.function == "_?._":
            return self._optional_select(node)
        target = node.target
        if target is not None:
            prefix = dotted(target)
            qualified = f"{prefix}.{node.function}" if prefix else ""
            if qualified in self._functions:
                node.function, node.target, target = qualified, None, None
        functions = self._functions.get(node.function.removeprefix("."))
        if functions is None:
            if target is not None:
                self._check(target)
            for arg in node.args:
                self._check(arg)
            return self._complain(node, f"undeclared reference to '{node.function}' {_IN_CONTAINER}")
        given = [self._argument(node, arg) for arg in node.operands]
        return self._resolve(node, functions, given)

    def _argument(self, node: Call, arg: Node) -> Type:
        if node.function == "format" and isinstance(arg, ListOf) and node.args and arg is node.args[0]:
            # The one list whose items may be of different types.
            for item in arg.items:
                self._check(item)
            arg.type = types.list_of(DYN)
            return arg.type
        return self._check(arg)

    def _optional_select(self, node: Call) -> Type:
        operand, name = node.args
        name.type = types.STRING
        assert isinstance(name, Literal)
        return self._field(node, self._shallow(self._check(operand)), name.value, optional=True)

    def _resolve(self, node: Call, functions: Sequence[Overload], given: list[Type]) -> Type:
        if node.function in ("_&&_", "_||_"):
            return self._logical(node, functions, given)
        result: Type | None = None
        found: list[Overload] = []
        for candidate in functions:
            if candidate.member != (node.target is not None):
                continue
            params, gives = self._instance(candidate)
            if not unify.assignable(self._bindings, given, params):
                continue
            found.append(candidate)
            answer = unify.substitute(self._bindings, gives, open_is_dyn=False)
            if result is None:
                result = answer
            elif not result.is_dyn and answer != result:
                result = DYN
        if result is None:
            shown = [str(self._shown(item)) for item in given]
            signature = f"{shown[0]}.({', '.join(shown[1:])})" if node.target is not None else f"({', '.join(shown)})"
            return self._complain(node, f"found no matching overload for '{node.function}' applied to '{signature}'")
        node.overloads = tuple(found)
        self._literals(node)
        return result

    def _logical(self, node: Call, functions: Sequence[Overload], given: list[Type]) -> Type:
        node.overloads = (functions[0],)
        result = BOOL
        for arg, item in zip(node.args, given):
            if not self._fits(item, BOOL):
                result = self._mismatch(arg, BOOL, item)
        return result

    def _instance(self, candidate: Overload) -> tuple[Sequence[Type], Type]:
        """Its types, with parameters of their own for this call."""
        if not candidate.has_params:
            return candidate.params, candidate.result
        self._fresh += 1
        renamed: dict[str, Type] = {}
        for name in "ABCT":
            renamed[name] = types.param(f"{name}{self._fresh}")
        return (
            [unify.substitute(renamed, item, open_is_dyn=False) for item in candidate.params],
            unify.substitute(renamed, candidate.result, open_is_dyn=False),
        )

    def _literals(self, node: Call) -> None:
        """Arguments that can be judged already."""
        test = node.overloads[0].literal
        if test is None or not any(isinstance(arg, Literal) for arg in node.operands):
            return
        complaint = test(*(arg.value if isinstance(arg, Literal) else _items(arg) for arg in node.operands))
        if complaint:
            self._complain(node.args[-1] if node.args else node, complaint)

    # Literals with something in them

    def _list(self, node: ListOf) -> Type:
        item_type: Type | None = None
        for index, item in enumerate(node.items):
            found = self._check(item)
            if index in node.optional:
                found = self._unwrapped(item, found)
            item_type = self._joined(item, item_type, found)
        if item_type is None:
            self._fresh += 1
            item_type = types.param(f"_{self._fresh}")
        return types.list_of(item_type)

    def _map(self, node: MapOf) -> Type:
        key_type: Type | None = None
        value_type: Type | None = None
        for key, value, optional in node.entries:
            key_type = self._joined(key, key_type, self._check(key))
            found = self._check(value)
            if optional:
                found = self._unwrapped(value, found)
            value_type = self._joined(value, value_type, found)
        if key_type is None or value_type is None:
            self._fresh += 1
            return types.map_of(types.param(f"_k{self._fresh}"), types.param(f"_v{self._fresh}"))
        return types.map_of(key_type, value_type)

    def _unwrapped(self, node: Node, found: Type) -> Type:
        found = self._shallow(found)
        if unify.is_optional(found):
            return found.params[0]
        if not found.is_dyn:
            self._mismatch(node, types.optional_of(found), found)
        return found

    def _joined(self, node: Node, before: Type | None, found: Type) -> Type:
        if before is None:
            return found
        if self._fits(before, found):
            return before if unify.less_specific(before, found) else found
        self._mismatch(node, before, found)
        return before

    def _object(self, node: ObjectOf) -> Type:
        found, named = self._lookup(node.name)
        if found is None:
            for _, value, _, _ in node.entries:
                self._check(value)
            return self._complain(node, f"undeclared reference to '{node.name}' {_IN_CONTAINER}")
        if named is None:
            return self._complain(node, f"'{node.name}' is not a type")
        if named.kind != "object":
            return self._complain(node, f"'{node.name}' is not a message type")
        for name, value, optional, place in node.entries:
            given = self._check(value)
            if optional:
                given = self._unwrapped(value, given)
            field = named.fields.get(name)
            if field is None:
                self.issues.append(Issue(place, f"undefined field '{name}'"))
            elif not self._fits(given, field.type):
                text = f"expected type of field '{name}' is '{field.type}' but provided type is '{self._shown(given)}'"
                self.issues.append(Issue(place, text))
        return named

    # Comprehensions

    def _comprehension(self, node: Comprehension) -> Type:
        first, second = self._iterated(node, self._shallow(self._check(node.range)))
        accumulator = self._check(node.start)
        self._scopes.append({node.accumulator: accumulator})
        self._scopes.append({node.variable: first, node.second: second} if node.second else {node.variable: first})
        condition = self._check(node.condition)
        if not self._fits(condition, BOOL):
            self._mismatch(node.condition, BOOL, condition)
        step = self._check(node.step)
        if not self._fits(step, accumulator):
            self._mismatch(node.step, accumulator, step)
        self._scopes.pop()
        result = self._check(node.result)
        self._scopes.pop()
        return unify.substitute(self._bindings, result, open_is_dyn=False)

    def _iterated(self, node: Comprehension, over: Type) -> tuple[Type, Type]:
        """The types of the variables."""
        if over.kind == "list":
            return (types.INT, over.params[0]) if node.second else (over.params[0], DYN)
        if over.kind == "map":
            return over.params[0], over.params[1]
        if over.kind == "param":
            self._fits(DYN, over)
        elif not over.is_dyn:
            text = f"expression of type '{self._shown(over)}' cannot be range of a comprehension (must be list, map, or dynamic)"
            self._complain(node.range, text)
            return ERROR, ERROR
        return DYN, DYN


_METHODS = {
    Literal: "_literal",
    Ident: "_ident",
    Select: "_select",
    Call: "_call",
    ListOf: "_list",
    MapOf: "_map",
    ObjectOf: "_object",
    Comprehension: "_comprehension",
}


def _items(node: Node) -> list[Node] | None:
    return node.items if isinstance(node, ListOf) else None


def _settle(node: Node, bindings: Bindings) -> None:
    """Types without parameters, in the whole tree."""
    node.type = unify.substitute(bindings, node.type, open_is_dyn=True)
    for inner in children(node):
        _settle(inner, bindings)
