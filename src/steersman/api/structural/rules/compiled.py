"""The rules of one level of a schema, compiled."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.api.structural.model import Node
from steersman.api.structural.rules import fieldpath
from steersman.api.structural.rules.declare import Decl
from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.types import Type
from steersman.machinery.meta import Obj

KEY = "x-kubernetes-validations"
_OLD = "oldSelf"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What could not be compiled says why in `fault` or `message_fault`, and has no program."""

    raw: Obj
    program: cel.Program | None
    fault: str
    message: cel.Program | None
    message_fault: str
    steps: fieldpath.Steps

    @property
    def text(self) -> str:
        return str(self.raw.get("rule") or "").strip()

    @property
    def is_transition(self) -> bool:
        """Whether it compares with what was before."""
        return self.program is not None and _OLD in self.program.references

    @property
    def optional_old(self) -> bool:
        return bool(self.raw.get("optionalOldSelf"))


def of_level(node: Node, decl: Decl) -> list[Rule]:
    """All rules of a level, in order; those that are empty have neither program nor fault."""
    return [_rule(raw, node, decl) for raw in node.raw.get(KEY) or ()]


def schema_env(decl: Decl, *, optional_old: bool = False) -> cel.Env:
    """What names mean in the rules of a level."""
    old = types.optional_of(decl.type) if optional_old else decl.type
    return cel.KUBERNETES.with_variables(**{"self": decl.type, _OLD: old})


def _rule(raw: Obj, node: Node, decl: Decl) -> Rule:
    env = schema_env(decl, optional_old=bool(raw.get("optionalOldSelf")))
    program, fault = _compiled(raw.get("rule") or "", env, types.BOOL, "", "cel expression must evaluate to a bool")
    wrong = "messageExpression must evaluate to a string"
    message, message_fault = _compiled(raw.get("messageExpression") or "", env, types.STRING, "messageExpression ", wrong)
    steps = fieldpath.parse((raw.get("fieldPath") or "").strip(), node) or ()
    return Rule(raw, program, fault, message, message_fault, steps)


def _compiled(source: str, env: cel.Env, wanted: Type, lead: str, wrong: str) -> tuple[cel.Program | None, str]:
    if not source.strip():
        return None, ""
    try:
        program = cel.compile(source, env)
    except cel.CelError as fault:
        return None, f"{lead}compilation failed: {fault}"
    except cel.InstantiationError as fault:
        return None, f"{lead}program instantiation failed: {fault}" if not lead else f"{lead}instantiation failed: {fault}"
    return (program, "") if program.type == wanted else (None, wrong)
