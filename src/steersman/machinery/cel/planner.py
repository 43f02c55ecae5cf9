"""From a checked tree to closures: each takes a Frame and gives its value, and adds to the frame what that costs.

Errors of the language are exceptions (CelRuntimeError); `&&`, `||` and the quantifiers catch them. What is constant is worked out
here, and costs nothing later. Selections, indexes and has() are in paths.py, macros over collections in folds.py, calls in
calls.py.
"""

from __future__ import annotations

from typing import Any

from steersman.machinery.cel import calls, folds, paths
from steersman.machinery.cel.ast import Call, Comprehension, Ident, ListOf, Literal, MapOf, Node, ObjectOf, Select
from steersman.machinery.cel.cost.charges import BASE_LIST, BASE_MAP, BASE_OBJECT
from steersman.machinery.cel.errors import CelRuntimeError, InstantiationError
from steersman.machinery.cel.frame import Run
from steersman.machinery.cel.library import regex
from steersman.machinery.cel.values import ObjectValue, contains

_CONVERSIONS = frozenset({"bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"})
_PATTERNS = frozenset({"find", "findAll"})


class Planner:
    """One expression. `slots`: how many values a frame needs; `globals`: where variables from outside go."""

    def __init__(self) -> None:
        self.globals: dict[str, int] = {}
        self.slots = 0
        self._scopes: list[dict[str, int]] = []

    def plan(self, node: Node) -> Run:
        known = self.constant(node)
        if known is not None:
            return known
        if isinstance(node, Ident | Select):
            return paths.plan(self, node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, ListOf):
            return self._list(node)
        if isinstance(node, MapOf):
            return self._map(node)
        if isinstance(node, ObjectOf):
            return self._object(node)
        assert isinstance(node, Comprehension)
        return folds.plan(self, node)

    # Names

    def slot(self, name: str) -> int:
        """Where a name's value stands in a frame."""
        for scope in () if name.startswith(".") else reversed(self._scopes):
            if name in scope:
                return scope[name]
        name = name.removeprefix(".")
        if name not in self.globals:
            self.globals[name] = self.slots
            self.slots += 1
        return self.globals[name]

    def enter(self, *names: str) -> list[int]:
        """Slots for variables of a macro, until leave()."""
        found = list(range(self.slots, self.slots + len(names)))
        self.slots += len(names)
        self._scopes.append(dict(zip(names, found)))
        return found

    def leave(self) -> None:
        self._scopes.pop()

    # Constants

    def constant(self, node: Node) -> Run | None:
        """A closure without cost, if the value is known. Raises InstantiationError."""
        found = self._folded(node)
        if found is None:
            return None
        (value,) = found
        return lambda frame: value

    def _folded(self, node: Node) -> tuple[Any] | None:
        if isinstance(node, Literal):
            return (node.value,)
        if isinstance(node, Ident | Select) and node.constant is not None:
            return (node.constant,)
        if isinstance(node, ListOf) and not node.optional:
            items = [self._folded(item) for item in node.items]
            return ([item[0] for item in items if item is not None],) if None not in items else None
        if isinstance(node, MapOf):
            return self._folded_map(node)
        if isinstance(node, Call) and node.function in _CONVERSIONS and node.target is None and len(node.args) == 1:
            inner = self._folded(node.args[0])
            if inner is None:
                return None
            try:
                return (calls.dispatcher(node.overloads)(*inner),)
            except CelRuntimeError as fault:
                raise InstantiationError(str(fault)) from None
        return None

    def _folded_map(self, node: MapOf) -> tuple[Any] | None:
        made: dict[Any, Any] = {}
        for key, value, optional in node.entries:
            known, item = self._folded(key), self._folded(value)
            if optional or known is None or item is None:
                return None
            try:
                calls.put(made, known[0], item[0])
            except CelRuntimeError as fault:
                raise InstantiationError(str(fault)) from None
        return (made,)

    # Literals

    def _list(self, node: ListOf) -> Run:
        items = [self.plan(item) for item in node.items]
        optional = node.optional

        def run(frame: Any) -> Any:
            frame.cost += BASE_LIST
            if not optional:
                return [item(frame) for item in items]
            made: list[Any] = []
            for index, item in enumerate(items):
                value = item(frame)
                if index not in optional:
                    made.append(value)
                elif calls.optional_of(value).present:
                    made.append(value.value)
            return made

        return run

    def _map(self, node: MapOf) -> Run:
        entries = [(self.plan(key), self.plan(value), optional) for key, value, optional in node.entries]

        def run(frame: Any) -> Any:
            frame.cost += BASE_MAP
            made: dict[Any, Any] = {}
            for key, item, optional in entries:
                name, value = key(frame), item(frame)
                if not optional:
                    calls.put(made, name, value)
                elif calls.optional_of(value).present:
                    calls.put(made, name, value.value)
            return made

        return run

    def _object(self, node: ObjectOf) -> Run:
        fields, name = node.type.fields, node.type.name
        entries = [(fields[field].key, self.plan(value), optional) for field, value, optional, _ in node.entries]

        def run(frame: Any) -> Any:
            frame.cost += BASE_OBJECT
            made = ObjectValue(name)
            for key, item, optional in entries:
                value = item(frame)
                if not optional:
                    made[key] = value
                elif calls.optional_of(value).present:
                    made[key] = value.value
            return made

        return run

    # Calls

    def _call(self, node: Call) -> Run:
        name = node.function
        if name in ("_?._", "_[_]", "_[?_]"):
            return paths.plan(self, node)
        if name == "_&&_":
            return calls.both(self.plan(node.args[0]), self.plan(node.args[1]))
        if name == "_||_":
            return calls.either(self.plan(node.args[0]), self.plan(node.args[1]))
        if name == "_?_:_":
            return calls.conditional(self.plan(node.args[0]), paths.branch(self, node.args[1]), paths.branch(self, node.args[2]))
        if name in ("_==_", "_!=_"):
            return calls.equality(self.plan(node.args[0]), self.plan(node.args[1]), node)
        if name == "@in":
            found = self._membership(node)
            if found is not None:
                return found
        if name in _PATTERNS and isinstance(node.args[0], Literal):
            wrong = regex.complaint(node.args[0].value)
            if wrong:
                raise InstantiationError(wrong)
        if name in ("or", "orValue") and node.target is not None:
            return calls.alternative(self.plan(node.target), self.plan(node.args[0]), name == "or")
        operands = [self.plan(item) for item in node.operands]
        return calls.applied(node.overloads, [item.type for item in node.operands], operands)

    def _membership(self, node: Call) -> Run | None:
        """`x in [constants]`: a look-up, which costs nothing."""
        known = self._folded(node.args[1])
        if known is None or not isinstance(known[0], list):
            return None
        items = known[0]
        if not all(isinstance(item, str | int | float) for item in items):
            return None
        value = self.plan(node.args[0])
        texts = frozenset(item for item in items if isinstance(item, str))

        def run(frame: Any) -> bool:
            found = value(frame)
            return found in texts if type(found) is str else contains(items, found)

        return run
