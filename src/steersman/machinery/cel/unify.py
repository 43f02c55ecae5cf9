"""Whether one type may stand for another, where both may have parameters that are not bound yet (cel-spec, type checking).

A failed attempt leaves the bindings as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.machinery.cel.types import DYN, OPTIONAL, Type


class Bindings(dict[str, Type]):
    """From the name of a type parameter to a type. Remembers what it was before, so that attempts can be taken back."""

    def __init__(self) -> None:
        super().__init__()
        self._journal: list[tuple[str, Type | None]] = []

    def bind(self, name: str, value: Type) -> None:
        self._journal.append((name, self.get(name)))
        self[name] = value

    def mark(self) -> int:
        return len(self._journal)

    def undo(self, mark: int) -> None:
        while len(self._journal) > mark:
            name, before = self._journal.pop()
            if before is None:
                del self[name]
            else:
                self[name] = before


_NULLABLE = ("object", "opaque", "duration", "timestamp", "any", "null", "dyn")


def assignable(bindings: Bindings, given: Sequence[Type], wanted: Sequence[Type]) -> bool:
    """Bind what must be bound for all of `given` to stand for `wanted`; False, and nothing bound, if that cannot be."""
    if len(given) != len(wanted):
        return False
    mark = bindings.mark()
    if all(_assignable(bindings, one, other) for one, other in zip(given, wanted)):
        return True
    bindings.undo(mark)
    return False


def _assignable(bindings: Bindings, a: Type, b: Type) -> bool:
    if b.kind == "param":
        fits, bound = _substitutes(bindings, a, b)
        if fits or bound:
            return fits
    if a.kind == "param":
        return _substitutes(bindings, b, a)[0]
    if a.is_dyn or b.is_dyn:
        return True
    if a.kind == "null" or b.kind == "null":
        return (b if a.kind == "null" else a).kind in _NULLABLE
    if a.kind == "type":
        return b.kind == "type"
    if a.kind in ("list", "map", "opaque"):
        same = a.kind == b.kind and a.name == b.name and len(a.params) == len(b.params)
        return same and all(_assignable(bindings, one, other) for one, other in zip(a.params, b.params))
    return a == b


def _substitutes(bindings: Bindings, value: Type, parameter: Type) -> tuple[bool, bool]:
    """Whether a type may be the value of a parameter, and whether that has one already."""
    if value == parameter:
        return True, True
    known = bindings.get(parameter.name)
    if known is not None:
        if value == known:
            return True, True
        if not _assignable(bindings, value, known):
            return False, True
        wider = value if less_specific(value, known) else known
        if not _mentions(bindings, wider, parameter):
            bindings.bind(parameter.name, wider)
        return True, True
    if _mentions(bindings, value, parameter):
        return False, False
    bindings.bind(parameter.name, value)
    return True, False


def less_specific(a: Type, b: Type) -> bool:
    """Whether a is as wide as b, or wider."""
    if a.is_dyn or a.kind == "param":
        return True
    if b.is_dyn or b.kind == "param" or a.kind != b.kind:
        return False
    if a.kind == "type":
        return True
    if a.kind in ("list", "map", "opaque"):
        return a.name == b.name and len(a.params) == len(b.params) and all(map(less_specific, a.params, b.params))
    return a == b


def _mentions(bindings: Bindings, value: Type, parameter: Type) -> bool:
    """Whether a type is made of a parameter, so that it cannot be its value."""
    if value == parameter:
        return True
    if value.kind == "param":
        known = bindings.get(value.name)
        return known is not None and _mentions(bindings, known, parameter)
    return any(_mentions(bindings, item, parameter) for item in value.params)


def substitute(bindings: Mapping[str, Type], item: Type, *, open_is_dyn: bool) -> Type:
    """A type with its parameters replaced. open_is_dyn: those without a value become dyn."""
    if item.kind == "param":
        known = bindings.get(item.name)
        if known is not None:
            return substitute(bindings, known, open_is_dyn=open_is_dyn)
        return DYN if open_is_dyn else item
    if not item.params:
        return item
    params = tuple(substitute(bindings, inner, open_is_dyn=open_is_dyn) for inner in item.params)
    return Type(item.kind, item.name, params, item.fields)


def is_optional(item: Type) -> bool:
    return item.kind == "opaque" and item.name == OPTIONAL
