"""Which names a CustomResourceDefinition gets: those that no other definition of its group has been given before.

Source: apiextensions-apiserver pkg/controller/status/naming_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from steersman.machinery.meta import Obj, name_of

_RESOURCES = ("plural", "singular", "shortNames")
_ALREADY = '"{}" is already in use'


class Naming(NamedTuple):
    """The names to accept, and the NamesAccepted condition: status, reason, message."""

    accepted: Obj
    status: str
    reason: str
    message: str


def accept(definition: Obj, others: Iterable[Obj]) -> Naming:
    """`others`: all definitions, this one among them or not."""
    group, name = definition["spec"]["group"], name_of(definition)
    taken = [
        (other.get("status") or {}).get("acceptedNames") or {}
        for other in others
        if other["spec"]["group"] == group and name_of(other) != name
    ]
    resources = {value for names in taken for value in _resource_names(names)}
    kinds = {names[key] for names in taken for key in ("kind", "listKind") if names.get(key)}
    wanted = definition["spec"]["names"]
    accepted = dict((definition.get("status") or {}).get("acceptedNames") or {"plural": "", "kind": ""})
    found = Naming(accepted, "True", "NoConflicts", "no conflicts found")
    for key, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
        if wanted.get(key) in resources:
            found = Naming(accepted, "False", reason, _ALREADY.format(wanted[key]))
        else:
            _take(accepted, wanted, key)
    clashing = [value for value in wanted.get("shortNames") or () if value in resources]
    if clashing:
        found = Naming(accepted, "False", "ShortNamesConflict", ", ".join(_ALREADY.format(value) for value in clashing))
    else:
        _take(accepted, wanted, "shortNames")
    for key, reason in (("kind", "KindConflict"), ("listKind", "ListKindConflict")):
        if wanted.get(key) in kinds:
            found = Naming(accepted, "False", reason, _ALREADY.format(wanted[key]))
        else:
            _take(accepted, wanted, key)
    _take(accepted, wanted, "categories")
    return found


def _resource_names(names: Obj) -> Iterable[str]:
    for key in _RESOURCES:
        value = names.get(key)
        yield from ((value,) if isinstance(value, str) and value else value or ())


def _take(accepted: Obj, wanted: Obj, key: str) -> None:
    if wanted.get(key):
        accepted[key] = wanted[key]
    else:
        accepted.pop(key, None)
