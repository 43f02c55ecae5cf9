"""JSONPath as Kubernetes' API has it: the paths of printer columns, scale subresources and selectable fields of custom resources.

`Path(".status.conditions[?(@.type=='Ready')].status").find(obj)` gives all values there; what is missing gives none.
Source: upstream client-go/util/jsonpath. Not here: templates with text and `range` (those belong to kubectl).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from steersman.machinery.meta import Obj

_NAME = re.compile(r"(?:\\.|[^.\[\]\\()\s=!<>,'\"])+")
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"")
_INTEGER = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*")
_WORDS = {"true": True, "false": False}

Step = Callable[[Any], Iterator[Any]]
"""From one value to those that a part of the path leads to."""


class Path:
    """A parsed path. `.spec.x`, `{.spec.x}` and `$.spec.x` are the same. Raises ValueError for what is no path."""

    __slots__ = ("text", "_steps")

    def __init__(self, text: str) -> None:
        self.text = text
        inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
        reader = _Reader(inner)
        self._steps = reader.path()
        if reader.place != len(inner):
            raise ValueError(f"unexpected {inner[reader.place :]!r} in path {text!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def find(self, obj: Any) -> list[Any]:
        return list(_follow(obj, self._steps))


def _follow(value: Any, steps: list[Step]) -> Iterator[Any]:
    found = iter((value,))
    for step in steps:
        found = _through(found, step)
    return found


def _through(values: Iterator[Any], step: Step) -> Iterator[Any]:
    for value in values:
        yield from step(value)


class _Reader:
    """Reads a path from `text`; `place` is how far it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.place)
        if found is not None:
            self.place = found.end()
        return found

    def _skip(self, literal: str) -> bool:
        if self.text.startswith(literal, self.place):
            self.place += len(literal)
            return True
        return False

    def _expect(self, literal: str) -> None:
        if not self._skip(literal):
            raise ValueError(f"expected {literal!r} at {self.place} in path {self.text!r}")

    def path(self) -> list[Step]:
        if not self._skip("$"):
            self._skip("@")
        steps: list[Step] = []
        while self.place < len(self.text):
            if self._skip(".."):
                steps.append(_descend)
                if not self.text.startswith("[", self.place):
                    steps.append(self._name())
            elif self._skip("."):
                if self.place < len(self.text) and not self.text.startswith("[", self.place):
                    steps.append(self._name())
            elif self._skip("["):
                steps.append(self._bracket())
            elif not steps and _NAME.match(self.text, self.place):
                steps.append(self._name())
            else:
                break
        return steps

    def _name(self) -> Step:
        if self._skip("*"):
            return _all
        found = self._take(_NAME)
        if found is None:
            raise ValueError(f"a name is missing at {self.place} in path {self.text!r}")
        return _field(re.sub(r"\\(.)", r"\1", found[0]))

    def _bracket(self) -> Step:
        if self._skip("?("):
            step = self._filter()
            self._expect(")]")
            return step
        parts = [self._part()]
        while self._skip(","):
            parts.append(self._part())
        self._expect("]")
        return parts[0] if len(parts) == 1 else _union(parts)

    def _part(self) -> Step:
        self._blank()
        if self._skip("*"):
            step: Step = _all
        elif (quoted := self._take(_QUOTED)) is not None:
            step = _field(_unquoted(quoted))
        else:
            step = self._index_or_slice()
        self._blank()
        return step

    def _index_or_slice(self) -> Step:
        bounds: list[int | None] = []
        for _ in range(3):
            found = self._take(_INTEGER)
            bounds.append(int(found[0]) if found is not None else None)
            if not self._skip(":"):
                break
        else:
            raise ValueError(f"too many colons in path {self.text!r}")
        if len(bounds) == 1:
            if bounds[0] is None:
                raise ValueError(f"an index is missing at {self.place} in path {self.text!r}")
            return _index(bounds[0])
        if len(bounds) == 3 and bounds[2] is not None and bounds[2] <= 0:
            raise ValueError("step must be > 0")
        return _slice(slice(*bounds))

    def _filter(self) -> Step:
        left = self._operand()
        operator = self._take(_OPERATOR)
        if operator is None:
            return _kept(lambda item: any(True for _ in left(item)))
        right, compare = self._operand(), _COMPARE[operator[1]]
        return _kept(lambda item: any(compare(a, b) for a in left(item) for b in right(item)))

    def _operand(self) -> Step:
        self._blank()
        quoted = self._take(_QUOTED)
        if quoted is not None:
            return _constant(_unquoted(quoted))
        if self.text[self.place : self.place + 1] in ("@", "$", "."):
            steps = self.path()
            self._blank()
            return lambda item: _follow(item, steps)
        number = self._take(_NUMBER)
        if number is not None:
            return _constant(float(number[0]) if "." in number[0] else int(number[0]))
        for word, value in _WORDS.items():
            if self._skip(word):
                return _constant(value)
        raise ValueError(f"unrecognized operand at {self.place} in path {self.text!r}")

    def _blank(self) -> None:
        while self.text.startswith(" ", self.place):
            self.place += 1


def _unquoted(found: re.Match[str]) -> str:
    text = found[1] if found[1] is not None else found[2]
    return re.sub(r"\\(.)", r"\1", text)


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(bounds: slice) -> Step:
    return lambda value: iter(value[bounds]) if isinstance(value, list) else iter(())


def _union(parts: list[Step]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for part in parts:
            yield from part(value)

    return step


def _kept(test: Callable[[Any], bool]) -> Step:
    return lambda value: (item for item in value if test(item)) if isinstance(value, list) else iter(())


def _constant(value: Any) -> Step:
    return lambda _: iter((value,))


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for item in _all(value):
        yield from _descend(item)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Only values of one sort are compared; a boolean is no number."""

    def compare(a: Any, b: Any) -> bool:
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in (a, b))
        return (numbers or type(a) is type(b)) and test(a, b)

    return compare


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _ordered(lambda a, b: bool(a == b)),
    "!=": lambda a, b: not _COMPARE["=="](a, b),
    "<": _ordered(lambda a, b: bool(a < b)),
    "<=": _ordered(lambda a, b: bool(a <= b)),
    ">": _ordered(lambda a, b: bool(a > b)),
    ">=": _ordered(lambda a, b: bool(a >= b)),
}


def text_of(value: Obj | list[Any] | str | float | bool | None) -> str:
    """A value as JSONPath prints it: text as it is, maps and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
