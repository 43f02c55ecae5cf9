"""Whether the expressions of a ValidatingAdmissionPolicy fit the kinds that it names: warnings, which change nothing. Pure.

`object`, `oldObject` and `params` have the types of their schemas here. Kinds are those of rules without a star.
Source: upstream apiserver pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Protocol

from steersman.api.kinds import KindSpec
from steersman.api.schema.applytypes import OBJECT_META
from steersman.api.schema.celtypes import of_definition
from steersman.api.structural.model import build
from steersman.api.structural.rules.declare import Declarations
from steersman.api.validation.admission_expressions import Scope
from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.types import Field, Type
from steersman.machinery.meta import Obj, dig

MOST_KINDS = 10


class Served(Protocol):
    """What is served."""

    def at(self, group: str, version: str, plural: str) -> KindSpec | None: ...

    def of(self, api_version: str, kind: str) -> KindSpec | None: ...


def warnings(policy: Obj, served: Served) -> list[Obj]:
    """The expressionWarnings of a policy's status."""
    spec = policy.get("spec") or {}
    kinds = _kinds(spec, served)
    found: list[Obj] = []
    for index, validation in enumerate(spec.get("validations") or ()):
        for key in ("expression", "messageExpression"):
            if validation.get(key):
                text = _checked(str(validation[key]), spec, kinds, _params(spec, served))
                if text:
                    found.append({"fieldRef": f"spec.validations[{index}].{key}", "warning": text})
    return found


def _kinds(spec: Obj, served: Served) -> list[KindSpec]:
    """In the order of group, version and kind."""
    found: dict[tuple[str, str, str], KindSpec] = {}
    for group, version, plural in _named(spec):
        kind = served.at(group, version, plural)
        if kind is not None:
            found[group, version, kind.kind] = kind
        if len(found) == MOST_KINDS:
            break
    return [found[key] for key in sorted(found)]


def _named(spec: Obj) -> Iterator[tuple[str, str, str]]:
    for rule in dig(spec, "matchConstraints", "resourceRules", default=()) or ():
        groups, versions = sorted(rule.get("apiGroups") or ()), sorted(rule.get("apiVersions") or ())
        if any("*" in name for name in (*groups, *versions)):
            continue
        plurals = sorted(name for name in rule.get("resources") or () if "*" not in name and "/" not in name)
        yield from product(groups, versions, plurals)


def _params(spec: Obj, served: Served) -> Type | None:
    kind = spec.get("paramKind")
    if kind is None:
        return None
    found = served.of(str(kind.get("apiVersion") or ""), str(kind.get("kind") or ""))
    return (type_of(found) if found is not None else None) or types.DYN


def type_of(spec: KindSpec) -> Type | None:
    """None for a kind that has no schema."""
    if spec.schema:
        return of_definition(spec.schema)
    if spec.openapi is None:
        return None
    decl = Declarations().of(build(spec.openapi))
    if decl is None:
        return None
    head = {"apiVersion": types.STRING, "kind": types.STRING, "metadata": of_definition(OBJECT_META)}
    return types.object_of(spec.kind, {**decl.type.fields, **{name: Field(item, name) for name, item in head.items()}})


def _checked(source: str, spec: Obj, kinds: list[KindSpec], params: Type | None) -> str:
    found: list[str] = []
    for kind in kinds:
        type_ = type_of(kind)
        if type_ is None:
            continue
        scope = Scope(params=params, object=type_)
        for variable in spec.get("variables") or ():
            scope.declare(str(variable["name"]), _compiled(str(variable["expression"]), scope)[0])
        issues = _compiled(source, scope)[1]
        if issues:
            found.append(f"{kind.resource.group}/{kind.resource.version}, Kind={kind.kind}: {issues}\n")
    return "\n".join(found)


def _compiled(source: str, scope: Scope) -> tuple[Type | None, str]:
    """Its type, or what is wrong with it."""
    try:
        return cel.compile(source, scope.env()).type, ""
    except cel.CelError as fault:
        return None, str(fault)
    except cel.InstantiationError:
        return None, ""
