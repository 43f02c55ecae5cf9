"""From the claims of a verified token to a user. Pure.

Source: upstream apiserver/plugin/pkg/authenticator/token/oidc. Messages are upstream's; TokenReview and the log show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from steersman.apiserver.authn.oidc import expressions
from steersman.apiserver.authn.oidc.expressions import ExpressionFault
from steersman.apiserver.authn.oidc.model import JWTAuthenticator, Rule, Source
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.tokens import InvalidToken
from steersman.machinery.meta import Obj


def user_of(settings: JWTAuthenticator, claims: Obj) -> UserInfo:
    """Raises InvalidToken."""
    name = _username(settings.username, claims)
    groups = _groups(settings.groups, claims)
    uid = _uid(settings.uid, claims)
    user = UserInfo(name, uid, groups, _extra(settings, claims))
    _required(settings, claims)
    _hold(settings.claim_rules, "claim validation expression", claims=claims)
    if settings.user_rules:
        _hold(settings.user_rules, "user info validation rule", user=expressions.user_value(user))
    return user


def _username(source: Source, claims: Obj) -> str:
    if source.expression is not None:
        name = _text(source, claims, "username")
    else:
        what = f'parse username claims "{source.claim}"'
        name = _claim(claims, source.claim, str, what)
        if source.claim == "email":
            _check_verified(claims)
        name = source.prefix + name
    if not name:
        raise InvalidToken("oidc: the username is empty")
    return name


def _check_verified(claims: Obj) -> None:
    if "email_verified" in claims and not _claim(claims, "email_verified", bool, "parse 'email_verified' claim"):
        raise InvalidToken("oidc: email not verified")


def _groups(source: Source | None, claims: Obj) -> tuple[str, ...]:
    if source is None:
        return ()
    if source.expression is not None:
        return _list(source.expression, claims, "group claim expression")
    found = claims.get(source.claim)
    if source.claim not in claims:
        return ()
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise InvalidToken(f'oidc: parse groups claim "{source.claim}": must be a string or a list of strings')
    return tuple(source.prefix + group for group in listed)


def _uid(source: Source | None, claims: Obj) -> str:
    if source is None:
        return ""
    if source.expression is not None:
        return _text(source, claims, "uid")
    return str(_claim(claims, source.claim, str, f'parse uid claim "{source.claim}"'))


def _extra(settings: JWTAuthenticator, claims: Obj) -> Mapping[str, tuple[str, ...]]:
    found = {key: _list(program, claims, f"extra claim expression: {program.source}") for key, program in settings.extra}
    return {key: values for key, values in found.items() if values}


def _required(settings: JWTAuthenticator, claims: Obj) -> None:
    for name, wanted in settings.required_claims:
        if name not in claims:
            raise InvalidToken(f"oidc: required claim {name} not present in ID token")
        value = _claim(claims, name, str, f"parse claim {name}")
        if value != wanted:
            raise InvalidToken(f"oidc: required claim {name} value does not match. Got = {value}, want = {wanted}")


def _hold(rules: Iterable[Rule], what: str, **variables: Any) -> None:
    for rule in rules:
        try:
            held = expressions.evaluate(rule.expression, **variables)
        except ExpressionFault as fault:
            raise InvalidToken(f"oidc: error evaluating {what}: {fault}") from fault
        if not held:
            failed = f"validation expression '{rule.expression.source}' failed: {rule.message}"
            raise InvalidToken(f"oidc: error evaluating {what}: {failed}")


def _claim(claims: Obj, name: str, kind: type, what: str) -> Any:
    if name not in claims:
        raise InvalidToken(f"oidc: {what}: claim not present")
    value = claims[name]
    if not isinstance(value, kind):
        raise InvalidToken(f"oidc: {what}: json: cannot unmarshal {type(value).__name__} into Go value of type {_GO[kind]}")
    return value


_GO = {str: "string", bool: "bool"}


def _text(source: Source, claims: Obj, what: str) -> str:
    assert source.expression is not None
    try:
        value = expressions.evaluate(source.expression, claims=claims)
    except ExpressionFault as fault:
        raise InvalidToken(f"oidc: error evaluating {what} claim expression: {fault}") from fault
    if not isinstance(value, str):
        raise InvalidToken(f"oidc: error evaluating {what} claim expression: {what} claim expression must return a string")
    return value


def _list(program: Any, claims: Obj, what: str) -> tuple[str, ...]:
    try:
        return expressions.texts(expressions.evaluate(program, claims=claims))
    except ExpressionFault as fault:
        raise InvalidToken(f"oidc: error evaluating {what}: {fault}") from fault
