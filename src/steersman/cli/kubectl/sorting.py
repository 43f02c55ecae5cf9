"""--sort-by: objects, or the rows of tables, ordered by what a JSONPath finds in them.

Source: upstream kubectl pkg/cmd/get/sorter.go. What cannot be found comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery import quantity
from steersman.machinery.jsonpath.evaluate import JSONPath
from steersman.machinery.jsonpath.parse import JSONPathError, relax

T = TypeVar("T")


def sort_by(items: Sequence[T], path: str, of: Callable[[T], Any]) -> list[T]:
    """The items in order; `of` gives the object of an item. KubectlError if no item has the field at all."""
    try:
        template = relax(path)
        parsed = JSONPath(template, allow_missing_keys=True)
        keyed = [(_value(parsed, of(item)), item) for item in items]
    except JSONPathError as error:
        raise KubectlError(str(error)) from None
    if keyed and all(value is None for value, _ in keyed):
        raise KubectlError(f'couldn\'t find any field with path "{template}" in the list of objects')
    return [item for _, item in sorted(keyed, key=functools.cmp_to_key(_compare_keyed))]


def _value(path: JSONPath, obj: Any) -> Any:
    return next((value for results in path.find(obj) for value in results), None)


def _compare_keyed(left: tuple[Any, object], right: tuple[Any, object]) -> int:
    return _compare(left[0], right[0])


def _compare(left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if isinstance(left, str) and isinstance(right, str):
        return _compare_text(left, right)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return (left > right) - (left < right)
    if isinstance(left, list) and isinstance(right, list):
        for a, b in zip(left, right):
            if found := _compare(a, b):
                return found
        return len(left) - len(right)
    return _compare_text(str(left), str(right))


def _compare_text(left: str, right: str) -> int:
    """Quantities by amount, all else by its characters."""
    try:
        a, b = quantity.parse(left), quantity.parse(right)
    except ValueError:
        return (left > right) - (left < right)
    return (a > b) - (a < b)
