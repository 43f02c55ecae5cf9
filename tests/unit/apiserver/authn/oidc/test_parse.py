"""AuthenticationConfiguration: what is refused, in upstream's words; anonymous requests by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steersman.apiserver.access import AuthenticationSettings, OIDCSettings
from steersman.apiserver.authn.oidc import Issuers, parse
from steersman.apiserver.config import ConfigError
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

OURS = ("https://kubernetes.default.svc",)


def issuer(**changes: Any) -> Obj:
    """An issuer; `a__b=...` changes its part b of a, None takes it away."""
    found: Obj = {
        "issuer": {"url": "https://a", "audiences": ["k8s"]},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    }
    for path, value in changes.items():
        part = found
        *parents, key = path.split("__")
        for parent in parents:
            part = part.setdefault(parent, {})
        if value is None:
            part.pop(key)
        else:
            part[key] = value
    return found


def why_not(*issuers: Obj, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse.of_document({"jwt": list(issuers), **more}, OURS)
    return str(caught.value)


AUDIENCES = "jwt[0].issuer.audiences"
USERNAME = "jwt[0].claimMappings.username"
EXTRA = "jwt[0].claimMappings.extra[0]"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer__url": ""}, "jwt[0].issuer.url: Required value: URL is required"),
        ({"issuer__url": "http://a"}, 'jwt[0].issuer.url: Invalid value: "http://a": URL scheme must be https'),
        (
            {"issuer__url": OURS[0]},
            f'jwt[0].issuer.url: Invalid value: "{OURS[0]}": URL must not overlap with disallowed issuers: [{OURS[0]}]',
        ),
        (
            {"issuer__url": "https://u:p@a"},
            'jwt[0].issuer.url: Invalid value: "https://u:p@a": URL must not contain a username or password',
        ),
        ({"issuer__url": "https://a?b=c"}, 'jwt[0].issuer.url: Invalid value: "https://a?b=c": URL must not contain a query'),
        ({"issuer__url": "https://a#b"}, 'jwt[0].issuer.url: Invalid value: "https://a#b": URL must not contain a fragment'),
        (
            {"issuer__discoveryURL": "https://a/"},
            'jwt[0].issuer.discoveryURL: Invalid value: "https://a/": discoveryURL must be different from URL',
        ),
        ({"issuer__audiences": []}, f"{AUDIENCES}: Required value: at least one {AUDIENCES} is required"),
        ({"issuer__audiences": [""]}, f"{AUDIENCES}[0]: Required value: audience can't be empty"),
        (
            {"issuer__audiences": ["a", "b"]},
            'jwt[0].issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences',
        ),
        ({"issuer__audiences": ["a", "a"], "issuer__audienceMatchPolicy": "MatchAny"}, f'{AUDIENCES}[1]: Duplicate value: "a"'),
        (
            {"issuer__certificateAuthority": "x"},
            'jwt[0].issuer.certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA '
            "certificates",
        ),
        ({"claimMappings__username": {}}, f"{USERNAME}: Required value: claim or expression is required"),
        (
            {"claimMappings__username": {"claim": "sub"}},
            f"{USERNAME}.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to "
            "disable prefixing",
        ),
        (
            {"claimMappings__username": {"claim": "sub", "expression": "claims.sub"}},
            f'{USERNAME}: Invalid value: "": claim and expression can\'t both be set',
        ),
        (
            {"claimMappings__username": {"prefix": "", "expression": "claims.sub"}},
            f'{USERNAME}.prefix: Invalid value: "": prefix can\'t be set when expression is set',
        ),
        (
            {"claimMappings__username": {"expression": "claims.email"}},
            f'{USERNAME}.expression: Invalid value: "claims.email": claims.email_verified must be used in '
            "claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression "
            "when claims.email is used in claimMappings.username.expression",
        ),
        (
            {"claimMappings__username": {"expression": "user.name"}},
            f"{USERNAME}.expression: Invalid value: \"user.name\": compilation failed: ERROR: <input>:1:1: undeclared reference "
            "to 'user' (in container '')\n | user.name\n | ^",
        ),
        ({"claimMappings__extra": [{"key": "foo", "valueExpression": "''"}]},
         f'{EXTRA}.key: Invalid value: "foo": must be a domain-prefixed path (such as "acme.io/foo")'),
        ({"claimMappings__extra": [{"key": "a.io/Foo", "valueExpression": "''"}]},
         f'{EXTRA}.key: Invalid value: "a.io/Foo": key must be lowercase'),
        ({"claimMappings__extra": [{"key": "x.kubernetes.io/a", "valueExpression": "''"}]},
         f'{EXTRA}.key: Invalid value: "x.kubernetes.io/a": k8s.io, kubernetes.io and their subdomains are reserved for '
         "Kubernetes use"),
        ({"claimMappings__extra": [{"key": "a.io/a"}]}, f"{EXTRA}.valueExpression: Required value: valueExpression is required"),
        ({"claimValidationRules": [{}]}, "jwt[0].claimValidationRules[0]: Required value: claim or expression is required"),
        ({"claimValidationRules": [{"claim": "a", "message": "m"}]},
         'jwt[0].claimValidationRules[0].message: Invalid value: "m": message can\'t be set when claim is set'),
        ({"claimValidationRules": [{"expression": "true", "requiredValue": "m"}]},
         'jwt[0].claimValidationRules[0].requiredValue: Invalid value: "m": requiredValue can\'t be set when expression is set'),
        ({"claimValidationRules": [{"expression": "'a'"}]},
         "jwt[0].claimValidationRules[0].expression: Invalid value: \"'a'\": must evaluate to bool"),
        ({"userValidationRules": [{"expression": "true"}, {"expression": "true"}]},
         'jwt[0].userValidationRules[1].expression: Duplicate value: "true"'),
        ({"userValidationRules": [{}]}, "jwt[0].userValidationRules[0].expression: Required value: expression is required"),
        ({"issuer__urls": "x"}, 'strict decoding error: unknown field "jwt[0].issuer.urls"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(changes: Any, text: str) -> None:
    assert why_not(issuer(**changes)) == text


def test_issuers_are_told_apart_by_their_urls() -> None:
    assert why_not(issuer(), issuer()) == 'jwt[1].issuer.url: Duplicate value: "https://a"'
    assert (
        why_not(*(issuer(issuer__url=f"https://{number}") for number in range(65)))
        == "jwt: Too many: 65: must have at most 64 items"
    )


@pytest.mark.parametrize("where", ["claimMappings__extra", "claimValidationRules", "username"])
def test_an_address_is_a_name_where_somebody_looks_whether_it_is_verified(where: str) -> None:
    verified = "claims.email_verified"
    changes: Obj = {"claimMappings__username": {"expression": "claims.email"}}
    if where == "claimMappings__extra":
        changes[where] = [{"key": "a.io/verified", "valueExpression": f"string({verified})"}]
    elif where == "claimValidationRules":
        changes[where] = [{"expression": "claims.?email_verified.orValue(true) == true"}]
    else:
        changes["claimMappings__username"] = {"expression": f"{verified} ? claims['email'] : ''"}
    assert len(parse.of_document({"jwt": [issuer(**changes)]}, OURS).issuers) == 1


def issuers(tmp_path: Path, text: str, anonymous: bool | None = None) -> Issuers:
    file = tmp_path / "authentication.yaml"
    file.write_text(text)
    return Issuers(AuthenticationSettings(config_file=file, anonymous=anonymous), OURS, OURS, VirtualClock())


HEAD = "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", {"/healthz": True, "/api": True}),
        ("anonymous: {enabled: true}", {"/healthz": True, "/api": True}),
        ("anonymous: {enabled: false}", {"/healthz": False, "/api": False}),
        ("anonymous: {enabled: true, conditions: [{path: /healthz}, {path: /readyz}]}", {"/healthz": True, "/api": False}),
    ],
)
def test_anonymous_requests_go_where_the_file_says(tmp_path: Path, text: str, allowed: dict[str, bool]) -> None:
    found = issuers(tmp_path, HEAD + text)
    assert {path: found.anonymous(path) for path in allowed} == allowed


@pytest.mark.parametrize(
    ("text", "anonymous", "why"),
    [
        ("anonymous: {conditions: [{path: /healthz}]}", None, "enabled should be set to true when conditions are defined"),
        ("anonymous: {enabled: true}", True, "--anonymous-auth flag cannot be set when anonymous field is configured"),
        ("jwts: []", None, 'unknown field "jwts"'),
    ],
)
def test_a_file_that_cannot_be_is_told(tmp_path: Path, text: str, anonymous: bool | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        issuers(tmp_path, HEAD + text, anonymous)


def test_flags_are_checked_too() -> None:
    cases: list[tuple[Any, str]] = [
        ({"issuer_url": "http://a"}, 'oidc-issuer-url: Invalid value: "http://a": URL scheme must be https'),
        ({"issuer_url": "https://a", "signing_algs": ("HS256",)}, 'oidc: unsupported signing alg: "HS256"'),
    ]
    for flags, why in cases:
        with pytest.raises(ConfigError, match=why):
            parse.of_flags(OIDCSettings(client_id="k8s", **flags), OURS)
