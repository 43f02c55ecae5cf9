"""AuthenticationConfiguration (apiserver.config.k8s.io), and the --oidc-… flags, as settings. Pure but for reading CA files.

Source: upstream apiserver/pkg/apis/apiserver/validation. Errors have upstream's paths and texts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from steersman.apiserver.access import OIDCSettings
from steersman.apiserver.authn.oidc import mappings
from steersman.apiserver.authn.oidc.model import (
    SIGNING_ALGORITHMS,
    Anonymous,
    Configuration,
    Issuer,
    JWTAuthenticator,
    Source,
)
from steersman.apiserver.config import ConfigError
from steersman.apiserver.configfile import known_fields, objects, read_kind, text, texts
from steersman.machinery import fielderrors
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_MOST_ISSUERS = 64
Errors = list[FieldError]


def load(path: Path, disallowed: Collection[str]) -> Configuration:
    """disallowed: issuers of the server itself. Raises ConfigError, OSError."""
    document = read_kind(path, "AuthenticationConfiguration", VERSIONS)
    try:
        return of_document(document, disallowed)
    except ConfigError as fault:
        raise ConfigError(f"{path}: {fault}") from fault


def of_document(document: Obj, disallowed: Collection[str]) -> Configuration:
    """Raises ConfigError."""
    known_fields(document, "", ("apiVersion", "kind", "jwt", "anonymous"))
    items = objects(document.get("jwt"), "jwt")
    errors: Errors = []
    if len(items) > _MOST_ISSUERS:
        errors.append(fielderrors.too_many("jwt", len(items), _MOST_ISSUERS))
    issuers = [_authenticator(item, f"jwt[{index}]", disallowed, errors) for index, item in enumerate(items)]
    _unique("url", [made.issuer.url for made in issuers], errors)
    _unique("discoveryURL", [made.issuer.discovery_url for made in issuers], errors)
    anonymous = _anonymous(document.get("anonymous"), errors)
    if errors:
        told = [str(error) for error in errors]
        raise ConfigError(told[0] if len(told) == 1 else f"[{', '.join(told)}]")
    return Configuration(tuple(issuers), anonymous)


def of_flags(flags: OIDCSettings, disallowed: Collection[str]) -> JWTAuthenticator:
    """Raises ConfigError, OSError."""
    for algorithm in flags.signing_algs:
        if algorithm not in SIGNING_ALGORITHMS:
            raise ConfigError(f'oidc: unsupported signing alg: "{algorithm}"')
    prefix = flags.username_prefix
    if not prefix and flags.username_claim != "email":
        prefix = f"{flags.issuer_url}#"
    errors: Errors = []
    _url(flags.issuer_url, "oidc-issuer-url", disallowed, errors)
    if errors:
        raise ConfigError(str(errors[0]))
    pem = flags.ca_file.read_text() if flags.ca_file is not None else ""
    return JWTAuthenticator(
        Issuer(flags.issuer_url, (flags.client_id,), "", pem),
        Source(flags.username_claim, "" if prefix == "-" else prefix),
        Source(flags.groups_claim, flags.groups_prefix) if flags.groups_claim else None,
        required_claims=flags.required_claims,
        algorithms=flags.signing_algs,
    )


def _unique(field: str, values: Sequence[str], errors: Errors) -> None:
    for index, value in enumerate(values):
        if value and value in values[:index]:
            errors.append(fielderrors.duplicate(f"jwt[{index}].issuer.{field}", value))


def _authenticator(item: Obj, at: str, disallowed: Collection[str], errors: Errors) -> JWTAuthenticator:
    known_fields(item, at, ("issuer", "claimValidationRules", "claimMappings", "userValidationRules"))
    issuer = _issuer(item.get("issuer"), f"{at}.issuer", disallowed, errors)
    required, rules = mappings.claim_rules(item.get("claimValidationRules"), f"{at}.claimValidationRules", errors)
    where = f"{at}.claimMappings"
    given = known_fields(item.get("claimMappings"), where, ("username", "groups", "uid", "extra"))
    username = mappings.prefixed(given.get("username"), f"{where}.username", errors)
    if username is None:
        errors.append(fielderrors.required(f"{where}.username", "claim or expression is required"))
    groups = mappings.prefixed(given.get("groups"), f"{where}.groups", errors)
    uid = mappings.uid(given.get("uid"), f"{where}.uid", errors)
    extra = mappings.extra(given.get("extra"), f"{where}.extra", errors)
    if username is not None:
        mappings.check_email(username, [program for _, program in extra] + [rule.expression for rule in rules], where, errors)
    users = mappings.user_rules(item.get("userValidationRules"), f"{at}.userValidationRules", errors)
    return JWTAuthenticator(issuer, username or Source(), groups, uid, extra, required, rules, users)


def _issuer(part: object, at: str, disallowed: Collection[str], errors: Errors) -> Issuer:
    fields = ("url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType")
    given = known_fields(part, at, fields)
    url, discovery = text(given.get("url"), f"{at}.url"), text(given.get("discoveryURL"), f"{at}.discoveryURL")
    if not url:
        errors.append(fielderrors.required(f"{at}.url", "URL is required"))
    else:
        _url(url, f"{at}.url", disallowed, errors)
    if discovery:
        if url and url.rstrip("/") == discovery.rstrip("/"):
            errors.append(fielderrors.invalid(f"{at}.discoveryURL", discovery, "discoveryURL must be different from URL"))
        _url(discovery, f"{at}.discoveryURL", (), errors)
    audiences = texts(given.get("audiences"), f"{at}.audiences")
    _check_audiences(audiences, text(given.get("audienceMatchPolicy"), f"{at}.audienceMatchPolicy"), at, errors)
    pem = text(given.get("certificateAuthority"), f"{at}.certificateAuthority")
    if pem and "-----BEGIN CERTIFICATE-----" not in pem:
        text_ = "data does not contain any valid RSA or ECDSA certificates"
        errors.append(fielderrors.invalid(f"{at}.certificateAuthority", "<omitted>", text_))
    if given.get("egressSelectorType"):
        text_ = "egress selectors are not supported"
        errors.append(fielderrors.invalid(f"{at}.egressSelectorType", given["egressSelectorType"], text_))
    return Issuer(url, audiences, discovery, pem)


def _url(url: str, at: str, disallowed: Collection[str], errors: Errors) -> None:
    if url in disallowed:
        told = f"URL must not overlap with disallowed issuers: [{' '.join(sorted(disallowed))}]"
        errors.append(fielderrors.invalid(at, url, told))
    parts = urlsplit(url)
    for wrong, why in (
        (parts.scheme != "https", "URL scheme must be https"),
        ("@" in parts.netloc, "URL must not contain a username or password"),
        (bool(parts.query), "URL must not contain a query"),
        (bool(parts.fragment), "URL must not contain a fragment"),
    ):
        if wrong:
            errors.append(fielderrors.invalid(at, url, why))


def _check_audiences(audiences: tuple[str, ...], policy: str, at: str, errors: Errors) -> None:
    if not audiences:
        errors.append(fielderrors.required(f"{at}.audiences", f"at least one {at}.audiences is required"))
        return
    for index, audience in enumerate(audiences):
        where = f"{at}.audiences[{index}]"
        if not audience:
            errors.append(fielderrors.required(where, "audience can't be empty"))
        if audience in audiences[:index]:
            errors.append(fielderrors.duplicate(where, audience))
    where = f"{at}.audienceMatchPolicy"
    if len(audiences) > 1 and policy != "MatchAny":
        errors.append(fielderrors.invalid(where, policy, "audienceMatchPolicy must be MatchAny for multiple audiences"))
    elif policy not in ("", "MatchAny"):
        why = "audienceMatchPolicy must be empty or MatchAny for single audience"
        errors.append(fielderrors.invalid(where, policy, why))


def _anonymous(part: object, errors: Errors) -> Anonymous | None:
    if part is None:
        return None
    given = known_fields(part, "anonymous", ("enabled", "conditions"))
    conditions = objects(given.get("conditions"), "anonymous.conditions")
    enabled = bool(given.get("enabled"))
    if conditions and not enabled:
        why = "enabled should be set to true when conditions are defined"
        errors.append(fielderrors.invalid("anonymous.conditions", conditions, why))
    paths = set()
    for index, item in enumerate(conditions):
        known_fields(item, f"anonymous.conditions[{index}]", ("path",))
        paths.add(text(item.get("path"), f"anonymous.conditions[{index}].path"))
    return Anonymous(enabled, frozenset(paths))
