"""The audit policy (audit.k8s.io/v1 Policy): the file, what is wrong with it in upstream's words, and its verdict on a request.

The first rule that matches decides; a request that none matches is not recorded. Pure but for reading the file.
Source: upstream apiserver/pkg/audit/policy, apis/audit/validation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.machinery import names, yamlio
from steersman.machinery.fielderrors import FieldError, invalid, not_supported, required

log = logging.getLogger(__name__)

API_VERSION = "audit.k8s.io/v1"
NONE, METADATA, REQUEST, REQUEST_RESPONSE = LEVELS = ("None", "Metadata", "Request", "RequestResponse")
RECEIVED, STARTED, COMPLETE, PANIC = STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
_MIXED = "rules cannot apply to both regular resources and non-resource URLs"


class _GroupResources(msgspec.Struct):
    group: str = ""
    resources: list[str] | None = None
    resourceNames: list[str] | None = None


class _Rule(msgspec.Struct):
    level: str = ""
    users: list[str] | None = None
    userGroups: list[str] | None = None
    verbs: list[str] | None = None
    resources: list[_GroupResources] | None = None
    namespaces: list[str] | None = None
    nonResourceURLs: list[str] | None = None
    omitStages: list[str] | None = None
    omitManagedFields: bool | None = None


class _Policy(msgspec.Struct):
    kind: str = ""
    apiVersion: str = ""
    metadata: dict[str, Any] | None = None
    omitStages: list[str] | None = None
    rules: list[_Rule] | None = None
    omitManagedFields: bool | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is recorded of a request."""

    level: str
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    @property
    def request(self) -> bool:
        """Whether the request's body belongs to it."""
        return self.level in (REQUEST, REQUEST_RESPONSE)

    @property
    def response(self) -> bool:
        return self.level == REQUEST_RESPONSE


class Policy:
    """`evaluate` is asked once a request."""

    def __init__(self, rules: Iterable[tuple[_Rule, Verdict]]) -> None:
        self._rules = tuple(rules)

    def evaluate(self, info: RequestInfo, user: UserInfo | None) -> Verdict | None:
        """None: nothing is recorded. user None: who could not be authenticated."""
        for rule, verdict in self._rules:
            if _matches(rule, info, user):
                return verdict if verdict.level != NONE else None
        return None


def load(path: Path) -> Policy:
    """Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise ConfigError(f'loading audit policy file: failed to read file path "{path}": {fault.strerror}') from fault
    try:
        return parse(content)
    except ValueError as fault:
        raise ConfigError(f"loading audit policy file: {fault}: from file {path}") from None


def parse(content: bytes) -> Policy:
    """Raises ValueError."""
    try:
        raw = yamlio.load(content)
        found = msgspec.convert(raw, _Policy)
    except ValueError as fault:
        raise ValueError(f"failed decoding: {fault}") from None
    if found.kind != "Policy" or not found.apiVersion:
        raise ValueError(f'failed decoding: no kind "{found.kind}" is registered for version "{found.apiVersion}"')
    if found.apiVersion != API_VERSION:
        raise ValueError(f"unknown group version field {found.apiVersion}, Kind={found.kind} in policy")
    if unknown := list(_unknown_fields(raw)):
        log.warning("Audit policy contains errors, falling back to lenient decoding: %s", ", ".join(unknown))
    rules = found.rules or []
    errors = [error for at, rule in enumerate(rules) for error in _check(rule, f"rules[{at}]")]
    if errors:
        texts = [str(error) for error in errors]
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    if not rules:
        raise ValueError("loaded illegal policy with 0 rules")
    return Policy((rule, _verdict(rule, found)) for rule in rules)


def _verdict(rule: _Rule, policy: _Policy) -> Verdict:
    omit = rule.omitManagedFields if rule.omitManagedFields is not None else policy.omitManagedFields
    return Verdict(rule.level, frozenset((*(policy.omitStages or ()), *(rule.omitStages or ()))), bool(omit))


# --- checking ----------------------------------------------------------------------------------------------------------


def _unknown_fields(raw: Any) -> Iterable[str]:
    def beyond(value: Any, known: type[msgspec.Struct], path: str) -> Iterable[str]:
        return (f'unknown field "{path}{key}"' for key in value if key not in known.__struct_fields__)

    yield from beyond(raw, _Policy, "")
    for at, rule in enumerate(raw.get("rules") or ()):
        yield from beyond(rule, _Rule, f"rules[{at}].")
        for number, resources in enumerate(rule.get("resources") or ()):
            yield from beyond(resources, _GroupResources, f"rules[{at}].resources[{number}].")


def _check(rule: _Rule, path: str) -> Iterable[FieldError]:
    if not rule.level:
        yield required(f"{path}.level")
    elif rule.level not in LEVELS:
        yield not_supported(f"{path}.level", rule.level, LEVELS)
    urls = rule.nonResourceURLs or []
    for at, url in enumerate(urls):
        if url == "*":
            continue
        if not url.startswith("/"):
            why = "non-resource URL rules must begin with a '/' character"
            yield invalid(f"{path}.nonResourceURLs[{at}]", url, why)
        if "*" in url[:-1]:
            why = "non-resource URL wildcards '*' must be the final character of the rule"
            yield invalid(f"{path}.nonResourceURLs[{at}]", url, why)
    yield from _check_resources(rule.resources or (), f"{path}.resources")
    for at, stage in enumerate(rule.omitStages or ()):
        if stage not in STAGES:
            yield invalid(f"{path}.omitStages[{at}]", stage, f"allowed stages are {','.join(STAGES)}")
    if urls and (rule.resources or rule.namespaces):
        yield invalid(f"{path}.nonResourceURLs", urls, _MIXED)


def _check_resources(listed: Sequence[_GroupResources], path: str) -> Iterable[FieldError]:
    for entry in listed:
        if entry.group not in ("", "*") and (wrong := names.dns1123_subdomain(entry.group)):
            yield invalid(f"{path}.group", entry.group, ",".join(wrong))
        if entry.resourceNames and not entry.resources:
            why = "using resourceNames requires at least one resource"
            yield invalid(f"{path}.resourceNames", entry.resourceNames, why)


# --- matching ----------------------------------------------------------------------------------------------------------


def _matches(rule: _Rule, info: RequestInfo, user: UserInfo | None) -> bool:
    if rule.users and (user is None or user.name not in rule.users):
        return False
    if rule.userGroups and (user is None or not any(group in rule.userGroups for group in user.groups)):
        return False
    if rule.verbs and info.verb not in rule.verbs:
        return False
    if rule.namespaces or rule.resources:
        return _matches_resource(rule, info)
    if rule.nonResourceURLs:
        return not info.is_resource and any(_matches_path(info.path, wanted) for wanted in rule.nonResourceURLs)
    return True


def _matches_path(path: str, wanted: str) -> bool:
    return wanted in ("*", path) or (wanted.endswith("*") and path.startswith(wanted.rstrip("*")))


def _matches_resource(rule: _Rule, info: RequestInfo) -> bool:
    if not info.is_resource or (rule.namespaces and info.namespace not in rule.namespaces):
        return False
    return not rule.resources or any(_names(entry, info) for entry in rule.resources)


def _names(entry: _GroupResources, info: RequestInfo) -> bool:
    if entry.group not in ("*", info.group):
        return False
    if not entry.resources:
        return True
    if entry.resourceNames and info.name not in entry.resourceNames:
        return False
    if not info.subresource:
        # `pods/*` is for pods as well.
        wanted = {info.plural, "*", f"{info.plural}/*"}
    else:
        wanted = {f"{info.plural}/{info.subresource}", "*", f"*/{info.subresource}", f"{info.plural}/*"}
    return any(resource in wanted for resource in entry.resources)
