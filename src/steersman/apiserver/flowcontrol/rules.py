"""Which FlowSchema a request belongs to, and which flow within it. Pure, over FlowSchema objects as they are stored.

Source: upstream util/flowcontrol/rule.go. Schemas are tried by matchingPrecedence, then by name; the first that matches has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from steersman.apiserver.authn.serviceaccounts import split_name
from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.machinery.meta import Obj, name_of


def ordered(schemas: Iterable[Obj]) -> list[Obj]:
    return sorted(schemas, key=lambda schema: (schema["spec"].get("matchingPrecedence") or 0, name_of(schema)))


def first_match(schemas: Sequence[Obj], user: UserInfo, info: RequestInfo) -> Obj | None:
    """Of ordered schemas."""
    return next((schema for schema in schemas if matches(schema, user, info)), None)


def matches(schema: Obj, user: UserInfo, info: RequestInfo) -> bool:
    return any(
        any(_is_subject(subject, user) for subject in rule.get("subjects") or ())
        and (
            any(_covers_resource(policy, info) for policy in rule.get("resourceRules") or ())
            if info.is_resource
            else any(_covers_path(policy, info) for policy in rule.get("nonResourceRules") or ())
        )
        for rule in schema["spec"].get("rules") or ()
    )


def distinguisher(schema: Obj, user: UserInfo, info: RequestInfo) -> str:
    """What tells the flows of a schema apart: the user, the namespace, or nothing."""
    method = (schema["spec"].get("distinguisherMethod") or {}).get("type")
    return user.name if method == "ByUser" else info.namespace if method == "ByNamespace" else ""


def _is_subject(subject: Obj, user: UserInfo) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        name = subject["user"]["name"]
        return bool(name in ("*", user.name))
    if kind == "Group":
        name = subject["group"]["name"]
        return bool(name == "*" or name in user.groups)
    if kind == "ServiceAccount":
        account = subject["serviceAccount"]
        found = split_name(user.name)
        return found is not None and found[0] == account["namespace"] and account["name"] in ("*", found[1])
    return False


def _listed(values: Sequence[str] | None, value: str) -> bool:
    return values is not None and (value in values or "*" in values)


def _covers_resource(policy: Obj, info: RequestInfo) -> bool:
    resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    if not (
        _listed(policy.get("verbs"), info.verb)
        and _listed(policy.get("apiGroups"), info.group)
        and _listed(policy.get("resources"), resource)
    ):
        return False
    if not info.namespace:
        return bool(policy.get("clusterScope"))
    return _listed(policy.get("namespaces"), info.namespace)


def _covers_path(policy: Obj, info: RequestInfo) -> bool:
    return _listed(policy.get("verbs"), info.verb) and any(
        _covers_url(url, info.path) for url in policy.get("nonResourceURLs") or ()
    )


def _covers_url(url: str, path: str) -> bool:
    """`/healthz/*` is everything below it."""
    return url in ("*", path) or (url.endswith("/*") and path.startswith(url[:-1]))
