"""Expressions of an AuthenticationConfiguration: over `claims`, or over `user`. Pure.

Source: upstream apiserver/pkg/authentication/cel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steersman.apiserver.contracts import UserInfo
from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.ast import Call, Ident, Literal, Node, Select, children

_USER = types.object_of(
    "kubernetes.UserInfo",
    {
        "username": types.Field(types.STRING, "username"),
        "uid": types.Field(types.STRING, "uid"),
        "groups": types.Field(types.list_of(types.STRING), "groups"),
        "extra": types.Field(types.map_of(types.STRING, types.list_of(types.STRING)), "extra"),
    },
)
_CLAIMS_ENV = cel.KUBERNETES.with_variables(claims=types.map_of(types.STRING, types.ANY))
_USER_ENV = cel.KUBERNETES.with_variables(user=_USER)


class ExpressionFault(ValueError):
    """An expression that cannot be used, or whose value cannot."""


def of_claims(source: str) -> cel.Program:
    """For mappings: any type, as claims are of any. Raises ExpressionFault."""
    return _compile(source, _CLAIMS_ENV)


def rule_of_claims(source: str) -> cel.Program:
    return _boolean(_compile(source, _CLAIMS_ENV))


def rule_of_user(source: str) -> cel.Program:
    return _boolean(_compile(source, _USER_ENV))


def evaluate(program: cel.Program, **variables: Any) -> Any:
    """Raises ExpressionFault."""
    try:
        return program.evaluate(variables)
    except cel.CelFault as fault:
        raise ExpressionFault(f"expression '{program.source}' resulted in error: {fault}") from fault


def texts(value: Any) -> tuple[str, ...]:
    """A string or a list of strings; what is empty is nothing. Raises ExpressionFault."""
    if value is None:
        return ()
    listed: Sequence[Any] = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
    if not all(isinstance(item, str) for item in listed):
        raise ExpressionFault("expression must return a string or a list of strings")
    return tuple(item for item in listed if item)


def user_value(user: UserInfo) -> Mapping[str, Any]:
    """`user` as expressions see it: what is empty is absent."""
    found: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in found.items() if value}


def uses_claim(program: cel.Program, name: str) -> bool:
    """Whether it looks at claims.<name>, also written claims["<name>"] or claims.?name."""
    return any(_is_claim(node, name) for node in _walk(program.tree))


def _is_claim(node: Node, name: str) -> bool:
    if isinstance(node, Select):
        return node.name == name and _is_claims(node.operand)
    if isinstance(node, Call) and len(node.operands) == 2:
        holder, key = node.operands
        return _is_claims(holder) and isinstance(key, Literal) and key.value == name
    return False


def _is_claims(node: Node) -> bool:
    return isinstance(node, Ident) and node.name == "claims"


def _walk(node: Node) -> list[Node]:
    return [node, *(found for inner in children(node) for found in _walk(inner))]


def _compile(source: str, env: cel.Env) -> cel.Program:
    try:
        return cel.compile(source, env)
    except (cel.CelError, cel.InstantiationError) as fault:
        raise ExpressionFault(f"compilation failed: {fault}") from fault


def _boolean(program: cel.Program) -> cel.Program:
    if program.type != types.BOOL:
        raise ExpressionFault("must evaluate to bool")
    return program
