"""Privilege escalation: which of the rules somebody wants to grant are not covered by the rules they hold. Pure.

Source: upstream pkg/registry/rbac/validation (Covers, CompactRules) and component-helpers/auth/rbac/validation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from steersman.apiserver.authz.rules import Rule, url_covers
from steersman.machinery.meta import Obj


class Grant(NamedTuple):
    """The smallest part of a rule: one resource (and name) of one group, or one URL; without its verb."""

    group: str = ""
    resource: str = ""
    name: str = ""
    url: str = ""


def missing(held: Sequence[Rule], asked: Iterable[Obj]) -> list[str]:
    """The asked rules that are not held, each as upstream prints it, sorted; verbs of the same thing together."""
    lacking: dict[Grant, list[str]] = {}
    for rule in asked:
        for grant in _grants(rule):
            for verb in rule.get("verbs") or ():
                if not any(_covers(owner, grant, verb) for owner in held):
                    verbs = lacking.setdefault(grant, [])
                    if verb not in verbs:
                        verbs.append(verb)
    return sorted(_text(grant, verbs) for grant, verbs in lacking.items())


def _grants(rule: Obj) -> Iterator[Grant]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for name in rule.get("resourceNames") or ("",):
                yield Grant(group, resource, name)
    for url in rule.get("nonResourceURLs") or ():
        yield Grant(url=url)


def _covers(owner: Rule, asked: Grant, verb: str) -> bool:
    if verb not in owner.verbs and "*" not in owner.verbs:
        return False
    if asked.url:
        return any(url_covers(url, asked.url) for url in owner.urls)
    if asked.group not in owner.groups and "*" not in owner.groups:
        return False
    if owner.names and asked.name not in owner.names:
        return False
    _, slash, subresource = asked.resource.partition("/")
    return (
        "*" in owner.resources
        or asked.resource in owner.resources
        or (bool(slash) and f"*/{subresource}" in owner.resources)
    )  # fmt: skip


def _text(grant: Grant, verbs: Sequence[str]) -> str:
    """`{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`"""
    parts = [f"NonResourceURLs:{quoted([grant.url])}"] if grant.url else []
    if not grant.url:
        parts += [f"APIGroups:{quoted([grant.group])}", f"Resources:{quoted([grant.resource])}"]
    if grant.name:
        parts.append(f"ResourceNames:{quoted([grant.name])}")
    return "{" + ", ".join([*parts, f"Verbs:{quoted(verbs)}"]) + "}"


def quoted(texts: Iterable[str]) -> str:
    """Go's %q of a list: `["a" "b"]`."""
    return f"[{' '.join(json.dumps(text, ensure_ascii=False) for text in texts)}]"
