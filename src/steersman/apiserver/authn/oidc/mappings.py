"""Rules and claim mappings of an issuer in an AuthenticationConfiguration. Pure; errors are gathered, with upstream's texts."""

from __future__ import annotations

from collections.abc import Callable

from steersman.api.validation import common
from steersman.apiserver.authn.oidc import expressions
from steersman.apiserver.authn.oidc.model import Rule, Source
from steersman.apiserver.configfile import known_fields, objects, text
from steersman.machinery import fielderrors
from steersman.machinery.cel import Program
from steersman.machinery.fielderrors import FieldError

_RESERVED = ("kubernetes.io", "k8s.io")
Errors = list[FieldError]


def _compiled(source: str, at: str, compile_: Callable[[str], Program], errors: Errors) -> Program | None:
    try:
        return compile_(source)
    except expressions.ExpressionFault as fault:
        errors.append(fielderrors.invalid(at, source, str(fault)))
        return None


def claim_rules(part: object, at: str, errors: Errors) -> tuple[tuple[tuple[str, str], ...], tuple[Rule, ...]]:
    required: dict[str, str] = {}
    rules: dict[str, Rule] = {}
    for index, item in enumerate(objects(part, at)):
        where = f"{at}[{index}]"
        known_fields(item, where, ("claim", "requiredValue", "expression", "message"))
        claim, wanted, source, message = (
            text(item.get(key), f"{where}.{key}") for key in ("claim", "requiredValue", "expression", "message")
        )
        if claim and source:
            errors.append(fielderrors.invalid(where, claim, "claim and expression can't both be set"))
        elif not claim and not source:
            errors.append(fielderrors.required(where, "claim or expression is required"))
        elif claim:
            if message:
                errors.append(fielderrors.invalid(f"{where}.message", message, "message can't be set when claim is set"))
            if claim in required:
                errors.append(fielderrors.duplicate(f"{where}.claim", claim))
            required[claim] = wanted
        else:
            if wanted:
                why = "requiredValue can't be set when expression is set"
                errors.append(fielderrors.invalid(f"{where}.requiredValue", wanted, why))
            _rule(source, message, f"{where}.expression", expressions.rule_of_claims, rules, errors)
    return tuple(required.items()), tuple(rules.values())


def user_rules(part: object, at: str, errors: Errors) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for index, item in enumerate(objects(part, at)):
        where = f"{at}[{index}]"
        known_fields(item, where, ("expression", "message"))
        source, message = text(item.get("expression"), f"{where}.expression"), text(item.get("message"), f"{where}.message")
        if source:
            _rule(source, message, f"{where}.expression", expressions.rule_of_user, rules, errors)
        else:
            errors.append(fielderrors.required(f"{where}.expression", "expression is required"))
    return tuple(rules.values())


def _rule(source: str, message: str, at: str, compile_: Callable[[str], Program], rules: dict[str, Rule], errors: Errors) -> None:
    if source in rules:
        errors.append(fielderrors.duplicate(at, source))
        return
    program = _compiled(source, at, compile_, errors)
    if program is not None:
        rules[source] = Rule(program, message)


def prefixed(part: object, at: str, errors: Errors) -> Source | None:
    """A username or groups mapping; None if it says nothing, or nothing usable."""
    given = known_fields(part, at, ("claim", "prefix", "expression"))
    claim, source = text(given.get("claim"), f"{at}.claim"), text(given.get("expression"), f"{at}.expression")
    prefix = given.get("prefix")
    if claim and source:
        errors.append(fielderrors.invalid(at, "", "claim and expression can't both be set"))
        return Source(claim)
    if source:
        if prefix is not None:
            errors.append(fielderrors.invalid(f"{at}.prefix", prefix, "prefix can't be set when expression is set"))
        return Source(expression=_compiled(source, f"{at}.expression", expressions.of_claims, errors))
    if not claim:
        return None
    if prefix is None:
        why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
        errors.append(fielderrors.required(f"{at}.prefix", why))
    return Source(claim, text(prefix, f"{at}.prefix"))


def uid(part: object, at: str, errors: Errors) -> Source | None:
    given = known_fields(part, at, ("claim", "expression"))
    claim, source = text(given.get("claim"), f"{at}.claim"), text(given.get("expression"), f"{at}.expression")
    if claim and source:
        errors.append(fielderrors.invalid(at, "", "claim and expression can't both be set"))
    elif source:
        return Source(expression=_compiled(source, f"{at}.expression", expressions.of_claims, errors))
    return Source(claim) if claim else None


def extra(part: object, at: str, errors: Errors) -> tuple[tuple[str, Program], ...]:
    found: dict[str, Program] = {}
    seen: set[str] = set()
    for index, item in enumerate(objects(part, at)):
        where = f"{at}[{index}]"
        known_fields(item, where, ("key", "valueExpression"))
        key, source = text(item.get("key"), f"{where}.key"), text(item.get("valueExpression"), f"{where}.valueExpression")
        _check_key(key, f"{where}.key", errors)
        if key in seen:
            errors.append(fielderrors.duplicate(f"{where}.key", key))
            continue
        seen.add(key)
        if not source:
            errors.append(fielderrors.required(f"{where}.valueExpression", "valueExpression is required"))
            continue
        program = _compiled(source, f"{where}.valueExpression", expressions.of_claims, errors)
        if program is not None:
            found[key] = program
    return tuple(found.items())


def _check_key(key: str, at: str, errors: Errors) -> None:
    common.domain_prefixed_path(errors, at, key)
    if key != key.lower():
        errors.append(fielderrors.invalid(at, key, "key must be lowercase"))
    domain = key.partition("/")[0]
    if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in _RESERVED):
        why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
        errors.append(fielderrors.invalid(at, key, why))


def check_email(username: Source, others: list[Program], at: str, errors: Errors) -> None:
    """Whoever is called by an address must have proved that it is theirs."""
    program = username.expression
    if program is None or not expressions.uses_claim(program, "email"):
        return
    if not any(expressions.uses_claim(other, "email_verified") for other in (program, *others)):
        why = (
            "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression "
            "or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"
        )
        errors.append(fielderrors.invalid(f"{at}.username.expression", program.source, why))
