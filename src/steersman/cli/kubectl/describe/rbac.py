"""Role, ClusterRole, RoleBinding, ClusterRoleBinding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from steersman.cli.kubectl.describe.golang import verb_v
from steersman.cli.kubectl.describe.subject import Subject, head
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.meta import Obj


class Target(NamedTuple):
    """What one line of the table is about. Verbs for the same target are gathered."""

    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


async def describe_role(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    w.write("PolicyRule:\n")
    w.heading("Resources", "Non-Resource URLs", "Resource Names", "Verbs")
    for target, verbs in compacted(subject.obj.get("rules") or ()):
        w.row(_combined(target), verb_v(target.urls), verb_v(target.names), verb_v(verbs))


def compacted(rules: Sequence[Obj]) -> list[tuple[Target, list[str]]]:
    """One entry per resource (and name), its verbs in the order of the rules; one per verb of a URL. Sorted as upstream."""
    found: list[tuple[Target, list[str]]] = []
    by_target: dict[Target, list[str]] = {}
    for target, verb in (pair for rule in rules for pair in _single(rule)):
        if target.urls:
            found.append((target, [verb]))
        elif target not in by_target:
            by_target[target] = [verb]
            found.append((target, by_target[target]))
        elif verb not in by_target[target]:
            by_target[target].append(verb)
    return sorted(found, key=_sort_key)


def _single(rule: Obj) -> Iterator[tuple[Target, str]]:
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                for name in rule.get("resourceNames") or (None,):
                    yield Target((group,), (resource,), () if name is None else (name,)), verb
    for url in rule.get("nonResourceURLs") or ():
        for verb in verbs:
            yield Target(urls=(url,)), verb


def _sort_key(entry: tuple[Target, list[str]]) -> str:
    """The text of the rule as upstream's generated type prints it."""
    target, verbs = entry
    return (
        f"&PolicyRule{{Verbs:{verb_v(verbs)},APIGroups:{verb_v(target.groups)},Resources:{verb_v(target.resources)},"
        f"ResourceNames:{verb_v(target.names)},NonResourceURLs:{verb_v(target.urls)},}}"
    )


def _combined(target: Target) -> str:
    """`pods/log`, `deployments.apps/scale`."""
    if not target.resources:
        return ""
    resource, slash, subresource = target.resources[0].partition("/")
    group = target.groups[0] if target.groups else ""
    return f"{resource}.{group}{slash}{subresource}" if group else f"{resource}{slash}{subresource}"


async def describe_binding(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    role = subject.obj.get("roleRef") or {}
    w.write("Role:\n")
    w.field("Kind", role.get("kind", ""), 1)
    w.field("Name", role.get("name", ""), 1)
    w.write("Subjects:\n")
    w.heading("Kind", "Name", "Namespace")
    for item in subject.obj.get("subjects") or ():
        w.row(item.get("kind", ""), item.get("name", ""), item.get("namespace", ""))


DESCRIBERS = {
    "Role": describe_role,
    "ClusterRole": describe_role,
    "RoleBinding": describe_binding,
    "ClusterRoleBinding": describe_binding,
}
