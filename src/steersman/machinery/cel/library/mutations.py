"""What mutation expressions have besides: object literals of any fields, `Object{spec: Object.spec{...}}`, and JSONPatch{...}.

An `Object` has whatever fields it is given, of any type: whether they fit the kind shows when the result is merged, and whether
literals are named after the place where they stand is for `misnamed` to say, of the value. Source: apiserver pkg/cel/mutation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from steersman.machinery.cel import types
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.types import NAMED, Field, Type
from steersman.machinery.cel.values import ObjectValue

ROOT: Final = "Object"


class _AnyField(Mapping[str, Field]):
    """Every name is a field."""

    def __getitem__(self, name: str) -> Field:
        return Field(types.DYN, name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


_ANY_FIELD = _AnyField()
OBJECT: Final = types.object_of(ROOT, _ANY_FIELD)
JSON_PATCH: Final = types.object_of(
    "JSONPatch",
    {
        "op": Field(types.STRING, "op"),
        "path": Field(types.STRING, "path"),
        "from": Field(types.STRING, "from"),
        "value": Field(types.DYN, "value"),
    },
)


class _Types(Mapping[str, Type]):
    """The named types of the language, and those of mutations."""

    def __getitem__(self, name: str) -> Type:
        if name == ROOT or name.startswith(f"{ROOT}."):
            return types.object_of(name, _ANY_FIELD)
        return JSON_PATCH if name == JSON_PATCH.name else NAMED[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*NAMED, ROOT, JSON_PATCH.name))

    def __len__(self) -> int:
        return len(NAMED) + 2


TYPES: Final[Mapping[str, Type]] = _Types()


def misnamed(value: Any, expected: str = ROOT) -> list[str]:
    """Complaints about object literals whose type is not that of their place."""
    found: list[str] = []
    if isinstance(value, ObjectValue):
        if value.type_name != expected:
            found.append(
                f'unexpected type name "{value.type_name}", expected "{expected}", '
                "which matches field name path from root Object type"
            )
        for key, item in value.items():
            found += misnamed(item, f"{expected}.{key}")
    elif isinstance(value, list):
        for item in value:
            found += misnamed(item, expected)
    elif isinstance(value, Mapping):
        for item in value.values():
            found += misnamed(item, expected)
    return found


OVERLOADS: tuple[Overload, ...] = (
    overload("jsonpatch.escapeKey", "(string) -> string", lambda text: text.replace("~", "~0").replace("/", "~1")),
)
