"""What names mean in an expression: variables, object types, functions. KUBERNETES has all of upstream's libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from steersman.machinery.cel.functions import Overload
from steersman.machinery.cel.library import (
    addresses,
    arithmetic,
    authorizer,
    conversions,
    lists,
    mutations,
    named_formats,
    optionals,
    quantities,
    regex,
    semver,
    sets,
    standard,
    strings,
    times,
    urls,
)
from steersman.machinery.cel.types import NAMED, Type

_LIBRARIES = (
    standard.OVERLOADS,
    arithmetic.OVERLOADS,
    conversions.OVERLOADS,
    times.OVERLOADS,
    strings.OVERLOADS,
    lists.OVERLOADS,
    sets.OVERLOADS,
    optionals.OVERLOADS,
    regex.OVERLOADS,
    urls.OVERLOADS,
    addresses.OVERLOADS,
    quantities.OVERLOADS,
    semver.OVERLOADS,
    named_formats.OVERLOADS,
    authorizer.OVERLOADS,
)


def by_name(libraries: Sequence[Sequence[Overload]]) -> Mapping[str, Sequence[Overload]]:
    found: dict[str, list[Overload]] = {}
    for item in chain.from_iterable(libraries):
        found.setdefault(item.name, []).append(item)
    return found


@dataclass(frozen=True, slots=True)
class Env:
    """variables: their types. functions: overloads by name. types: names that an expression may call a type by."""

    variables: Mapping[str, Type] = field(default_factory=dict)
    functions: Mapping[str, Sequence[Overload]] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=lambda: NAMED)

    def with_variables(self, /, **variables: Type) -> Env:
        return Env({**self.variables, **variables}, self.functions, self.types)


KUBERNETES = Env({}, by_name(_LIBRARIES))

MUTATIONS = Env({}, by_name((*_LIBRARIES, mutations.OVERLOADS)), mutations.TYPES)
"""For mutation expressions of admission policies: with object literals."""
