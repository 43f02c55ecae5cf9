"""Macros: calls that are rewritten when they are parsed. has(), those over collections, and those of optionals.

A fold keeps its accumulator in `@result`, a name that no expression can spell.
"""

from __future__ import annotations

from steersman.machinery.cel.ast import Call, Comprehension, Ident, ListOf, Literal, MapOf, Node, Select

ACCUMULATOR = "@result"
_UNUSED = "#unused"
_QUANTIFIERS = ("all", "exists", "exists_one", "existsOne")
_TRANSFORMS = ("transformList", "transformMap", "transformMapEntry")


class BadMacro(Exception):
    """A macro with arguments it cannot have."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.place = node.place


def expand(place: int, name: str, target: Node | None, args: list[Node]) -> Node | None:
    """What a call means, if it is a macro. Raises BadMacro."""
    count = len(args)
    if target is None:
        return _has(place, args[0]) if name == "has" and count == 1 else None
    if name in _QUANTIFIERS and (count == 3 or (count == 2 and name != "existsOne")):
        return _quantifier(place, name, target, args)
    if name == "map" and count in (2, 3):
        variable = _variable(args[0], "argument is not an identifier")
        return _map(place, "map", target, variable, "", args[1] if count == 3 else None, args[-1])
    if name == "filter" and count == 2:
        variable = _variable(args[0], "argument is not an identifier")
        return _map(place, "map", target, variable, "", args[1], args[0])
    if name in _TRANSFORMS and count in (3, 4):
        return _transform(place, name, target, args)
    if name in ("optMap", "optFlatMap") and count == 2:
        return _optional(place, name, target, args)
    if name == "sortBy" and count == 2:
        return _sort_by(place, target, args)
    return None


def _has(place: int, operand: Node) -> Node:
    if not isinstance(operand, Select) or operand.test_only:
        raise BadMacro(operand, "invalid argument to has() macro")
    return Select(place, operand.operand, operand.name, True)


def _variable(node: Node, complaint: str) -> str:
    if not isinstance(node, Ident) or node.name.startswith("."):
        raise BadMacro(node, complaint)
    if node.name in (ACCUMULATOR, "__result__"):
        raise BadMacro(node, "iteration variable overwrites accumulator variable")
    return node.name


def _two(args: list[Node]) -> tuple[str, str]:
    first, second = (_variable(node, "argument must be a simple name") for node in args[:2])
    if first == second:
        raise BadMacro(args[1], f"duplicate variable name: {second}")
    return first, second


def _quantifier(place: int, name: str, target: Node, args: list[Node]) -> Node:
    if len(args) == 3:
        first, second = _two(args)
    else:
        first, second = _variable(args[0], "argument must be a simple name"), ""
    predicate = args[-1]

    def so_far() -> Node:
        return Ident(place, ACCUMULATOR)

    start: Node
    if name == "all":
        start, condition = Literal(place, True), Call(place, "@not_strictly_false", None, [so_far()])
        step, result = Call(place, "_&&_", None, [so_far(), predicate]), so_far()
    elif name == "exists":
        start = Literal(place, False)
        condition = Call(place, "@not_strictly_false", None, [Call(place, "!_", None, [so_far()])])
        step, result = Call(place, "_||_", None, [so_far(), predicate]), so_far()
    else:
        start = Literal(place, 0)
        more = Call(place, "_+_", None, [so_far(), Literal(place, 1)])
        step = Call(place, "_?_:_", None, [predicate, more, so_far()])
        result = Call(place, "_==_", None, [so_far(), Literal(place, 1)])
        name = "exists_one"
        return Comprehension(
            place, name, target, first, second, ACCUMULATOR, start, Literal(place, True), step, result, predicate=predicate
        )
    return Comprehension(place, name, target, first, second, ACCUMULATOR, start, condition, step, result, predicate=predicate)


def _map(place: int, macro: str, target: Node, first: str, second: str, predicate: Node | None, transform: Node) -> Comprehension:
    added: Node = Call(place, "_+_", None, [Ident(place, ACCUMULATOR), ListOf(place, [transform])])
    return _folded(place, macro, target, (first, second), ListOf(place, []), added, predicate, transform)


def _folded(
    place: int, macro: str, target: Node, names: tuple[str, str], start: Node, step: Node, predicate: Node | None, transform: Node
) -> Comprehension:
    if predicate is not None:
        step = Call(place, "_?_:_", None, [predicate, step, Ident(place, ACCUMULATOR)])
    return Comprehension(
        place,
        macro,
        target,
        *names,
        ACCUMULATOR,
        start,
        Literal(place, True),
        step,
        Ident(place, ACCUMULATOR),
        predicate=predicate,
        transform=transform,
    )


def _transform(place: int, name: str, target: Node, args: list[Node]) -> Node:
    first, second = _two(args)
    predicate, transform = (args[2] if len(args) == 4 else None), args[-1]
    if name == "transformList":
        return _map(place, "map", target, first, second, predicate, transform)
    inserted: list[Node] = [Ident(place, ACCUMULATOR), Ident(place, first), transform]
    if name == "transformMapEntry":
        inserted = [Ident(place, ACCUMULATOR), transform]
    step = Call(place, "cel.@mapInsert", None, inserted)
    return _folded(place, name, target, (first, second), MapOf(place, []), step, predicate, transform)


def _bound(place: int, name: str, value: Node, result: Node) -> Node:
    """A result in which a name means a value: a fold over nothing that starts with it."""
    never, same = Literal(place, False), Ident(place, name)
    return Comprehension(place, "bind", ListOf(place, []), _UNUSED, "", name, value, never, same, result)


def _optional(place: int, name: str, target: Node, args: list[Node]) -> Node:
    """A value bound to a name, where there is one."""
    variable = _variable(args[0], "argument must be a simple name")
    value = Call(place, "value", target, [])
    bound = _bound(place, variable, value, args[1])
    if name == "optMap":
        bound = Call(place, "optional.of", None, [bound])
    absent = Call(place, "optional.none", None, [])
    return Call(place, "_?_:_", None, [Call(place, "hasValue", target, []), bound, absent])


def _sort_by(place: int, target: Node, args: list[Node]) -> Node:
    """The list, bound to a name, beside the list of its keys."""
    variable = _variable(args[0], "sortBy(varIdent, keyExpr) requires a simple identifier as its first argument")
    name = "@__sortBy_input__"
    keys = _map(place, "map", Ident(place, name), variable, "", None, args[1])
    result = Call(place, "@sortByAssociatedKeys", Ident(place, name), [keys])
    return _bound(place, name, target, result)
