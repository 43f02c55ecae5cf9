"""A policy with its expressions compiled: once per change of the policy, not per request. Pure.

What does not compile is kept with its fault: it fails when a request comes to it, as failurePolicy says. (A policy that is stored
may have been written by a server that knew more of the language.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.api.validation.admission_expressions import PATCHES, Scope
from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.types import Type
from steersman.machinery.meta import Obj, name_of

IGNORE = "Ignore"


@dataclass(frozen=True, slots=True)
class Expression:
    """program: None for what does not compile; `fault` says why."""

    source: str
    program: cel.Program | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """One of `validations`. message: an expression, where there is one; else `text`."""

    expression: Expression
    message: Expression | None
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """One of `auditAnnotations`."""

    key: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Mutation:
    """One of `mutations`. patch_type: ApplyConfiguration or JSONPatch."""

    patch_type: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Policy:
    """A ValidatingAdmissionPolicy or MutatingAdmissionPolicy."""

    obj: Obj
    conditions: Sequence[Expression]
    variables: Mapping[str, Expression]
    validations: Sequence[Validation] = ()
    annotations: Sequence[Annotation] = ()
    mutations: Sequence[Mutation] = ()

    @property
    def name(self) -> str:
        return name_of(self.obj)

    @property
    def spec(self) -> Obj:
        found: Obj = self.obj.get("spec") or {}
        return found

    @property
    def ignores_failures(self) -> bool:
        return self.spec.get("failurePolicy") == IGNORE

    @property
    def param_kind(self) -> Obj | None:
        return self.spec.get("paramKind")


def compiled(policy: Obj) -> Policy:
    """A policy of either sort."""
    spec = policy.get("spec") or {}
    scope = Scope(params=types.DYN if spec.get("paramKind") is not None else None)
    conditions = [_one(item.get("expression"), scope.env(), (types.BOOL,)) for item in spec.get("matchConditions") or ()]
    variables: dict[str, Expression] = {}
    for item in spec.get("variables") or ():
        found = _one(item.get("expression"), scope.env(), ())
        scope.declare(item["name"], found.program.type if found.program is not None else None)
        variables[item["name"]] = found
    return Policy(
        policy,
        conditions,
        variables,
        [_validation(item, scope) for item in spec.get("validations") or ()],
        [_annotation(item, scope) for item in spec.get("auditAnnotations") or ()],
        [_mutation(item, scope) for item in spec.get("mutations") or ()],
    )


def _validation(item: Obj, scope: Scope) -> Validation:
    said = (item.get("messageExpression") or "").strip()
    message = _one(said, scope.env(authorizer=False), (types.STRING,)) if said else None
    expression = _one(item.get("expression"), scope.env(), (types.BOOL,))
    return Validation(expression, message, (item.get("message") or "").strip(), item.get("reason") or "Invalid")


def _annotation(item: Obj, scope: Scope) -> Annotation:
    return Annotation(item["key"], _one(item.get("valueExpression"), scope.env(), (types.STRING, types.NULL)))


def _mutation(item: Obj, scope: Scope) -> Mutation:
    kind = item["patchType"]
    block = item.get("applyConfiguration" if kind == "ApplyConfiguration" else "jsonPatch") or {}
    return Mutation(kind, _one(block.get("expression"), scope.env(cel.MUTATIONS), (PATCHES[kind],)))


def _one(source: str | None, env: cel.Env, wanted: Sequence[Type]) -> Expression:
    text = (source or "").strip()
    try:
        program = cel.compile(text, env)
    except cel.CelError as fault:
        return Expression(text, None, f"compilation failed: {fault}")
    except cel.InstantiationError as fault:
        return Expression(text, None, f"program instantiation failed: {fault}")
    if wanted and program.type not in wanted:
        return Expression(text, None, f"must evaluate to {wanted[0].runtime_name}")
    return Expression(text, program)
