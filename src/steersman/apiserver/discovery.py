"""Discovery documents: which groups, versions and resources are served. Pure functions of the installed KindSpecs.

Two generations: the documents per path (/api, /apis, /apis/<group>, /apis/<group>/<version>), and the aggregated one that
says all at once. Serving and caching them is documents.py's work. Source: KEP-3352.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.api.kinds import KindSpec, Subresource
from steersman.machinery.gvk import api_version, version_priority
from steersman.machinery.meta import Obj

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

# groupPriorityMinimum of upstream's own groups; that of custom resources is lower.
_PRIORITIES = {
    "": 18000, "apiregistration.k8s.io": 20000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200, "policy": 17100, "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700, "apiextensions.k8s.io": 16700, "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100, "internal.apiserver.k8s.io": 16000, "storagemigration.k8s.io": 15900,
    "metrics.k8s.io": 100,
}  # fmt: skip
_CUSTOM = 1000


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A group-version that another server serves. resources: as its APIResourceList has them; None while it does not answer."""

    group: str
    version: str
    group_priority: int
    version_priority: int
    resources: Sequence[Obj] | None
    openapi: Obj | None = None
    """Its OpenAPI v3 document."""

    @property
    def place(self) -> tuple[str, str]:
        return self.group, self.version


def group_priority(group: str) -> int:
    """The higher, the earlier a group is shown, and the earlier a name like `pods` is looked for there."""
    return _PRIORITIES.get(group, _CUSTOM)


def versions_of(specs: Iterable[KindSpec], others: Sequence[Elsewhere] = ()) -> dict[str, list[str]]:
    """The served versions of each group, in order of priority. The core group comes first: it has a path of its own."""
    found: dict[str, set[str]] = {}
    for spec in specs:
        found.setdefault(spec.resource.group, set()).add(spec.resource.version)
    ranks = {group: group_priority(group) for group in found}
    priorities: dict[tuple[str, str], int] = {}
    for other in others:
        known = other.group in found
        found.setdefault(other.group, set()).add(other.version)
        ranks[other.group] = max(other.group_priority, ranks.get(other.group, 0)) if known else other.group_priority
        priorities[other.place] = other.version_priority
    ordered = sorted(found, key=lambda group: (group != "", -ranks[group], group))
    return {
        group: sorted(found[group], key=lambda version: (-priorities.get((group, version), 0), version_priority(version)))
        for group in ordered
    }


def api_versions(server_address: str) -> Obj:
    """/api. `server_address` is `host:port`, as clients outside reach it."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def api_group_list(specs: Iterable[KindSpec], others: Sequence[Elsewhere] = ()) -> Obj:
    """/apis."""
    groups = [_group(group, versions) for group, versions in versions_of(specs, others).items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(specs: Iterable[KindSpec], group: str, others: Sequence[Elsewhere] = ()) -> Obj | None:
    """/apis/<group>; None for a group that is not served."""
    versions = versions_of(specs, others).get(group)
    return None if versions is None or not group else {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def _group(group: str, versions: list[str]) -> Obj:
    shown = [{"groupVersion": api_version(group, version), "version": version} for version in versions]
    return {"name": group, "versions": shown, "preferredVersion": shown[0]}


def api_resource_list(specs: Iterable[KindSpec], group: str, version: str) -> Obj | None:
    """/api/v1 or /apis/<group>/<version>; None for a version that is not served."""
    found = _of_version(specs, group, version)
    if not found:
        return None
    resources: list[Obj] = []
    for spec in found:
        resources.append(_resource(spec))
        resources += [_subresource(spec, sub) for sub in spec.subresources]
    resources.sort(key=lambda resource: resource["name"])
    body: Obj = {"kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": resources}
    return {**body, "apiVersion": "v1"} if group else body


def _of_version(specs: Iterable[KindSpec], group: str, version: str) -> list[KindSpec]:
    return [spec for spec in specs if spec.resource.group == group and spec.resource.version == version]


def _resource(spec: KindSpec) -> Obj:
    found: Obj = {
        "name": spec.resource.plural,
        "singularName": spec.singular_name,
        "namespaced": spec.resource.namespaced,
        "kind": spec.kind,
        "verbs": _verbs(spec),
    }
    if spec.short_names:
        found["shortNames"] = list(spec.short_names)
    if spec.categories:
        found["categories"] = list(spec.categories)
    if not spec.virtual and "watch" in spec.verbs:
        found["storageVersionHash"] = storage_version_hash(spec)
    return found


_LAST_VERBS = ("delete", "deletecollection", "get", "list", "watch")


def _verbs(spec: KindSpec) -> list[str]:
    """A kind whose definition is being deleted shows only what is needed to see it off."""
    return sorted(_LAST_VERBS if spec.terminating else spec.verbs)


def _subresource(spec: KindSpec, sub: Subresource) -> Obj:
    found: Obj = {
        "name": f"{spec.resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": spec.resource.namespaced,
    }
    if sub.version:
        found.update(group=sub.group, version=sub.version)
    found.update(kind=sub.kind or spec.kind, verbs=sorted(sub.verbs))
    return found


def storage_version_hash(spec: KindSpec) -> str:
    """Changes when objects are stored as another version; clients that migrate storage compare it."""
    stored = spec.storage
    digest = hashlib.sha256(f"{stored.group}/{stored.version}/{stored.kind or spec.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def aggregated(specs: Iterable[KindSpec], *, core: bool, others: Sequence[Elsewhere] = ()) -> Obj:
    """The APIGroupDiscoveryList of /api (core) or /apis."""
    found = tuple(specs)
    elsewhere = {other.place: other for other in others}
    groups = [(group, versions) for group, versions in versions_of(found, others).items() if core != bool(group)]

    def shown(group: str, version: str) -> Obj:
        other = elsewhere.get((group, version))
        if other is None:
            resources = _aggregated_resources(_of_version(found, group, version))
        elif other.resources is None:
            return {"version": version, "freshness": "Stale"}
        else:
            resources = _regrouped(other)
        return {"version": version, "resources": resources, "freshness": "Current"}

    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [shown(group, version) for version in versions],
        }
        for group, versions in groups
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_resources(specs: list[KindSpec]) -> list[Obj]:
    resources: list[Obj] = []
    for spec in sorted(specs, key=lambda spec: spec.resource.plural):
        # Upstream names them for custom resources only; for all others its aggregated form leaves them out.
        own = ("", "") if spec.openapi is None else (spec.resource.group, spec.resource.version)
        found: Obj = {
            "resource": spec.resource.plural,
            "responseKind": _response_kind(spec.kind, *own),
            "scope": "Namespaced" if spec.resource.namespaced else "Cluster",
            "singularResource": spec.singular_name,
            "verbs": _verbs(spec),
        }
        if spec.short_names:
            found["shortNames"] = list(spec.short_names)
        if spec.categories:
            found["categories"] = list(spec.categories)
        if spec.subresources:
            found["subresources"] = [
                {
                    "subresource": sub.name,
                    "responseKind": _response_kind(sub.kind or spec.kind, *((sub.group, sub.version) if sub.kind else own)),
                    "verbs": sorted(sub.verbs),
                }
                for sub in sorted(spec.subresources, key=lambda sub: sub.name)
            ]
        resources.append(found)
    return resources


def _regrouped(other: Elsewhere) -> list[Obj]:
    """An APIResourceList's resources in the aggregated form: subresources below what they are of."""
    made: dict[str, Obj] = {}
    for item in sorted(other.resources or (), key=lambda item: str(item.get("name"))):
        name, _, sub = str(item.get("name")).partition("/")
        place = (item.get("group") or other.group, item.get("version") or other.version)
        told: Obj = {"responseKind": _response_kind(str(item.get("kind")), *place), "verbs": sorted(item.get("verbs") or ())}
        if sub:
            if name in made:
                made[name].setdefault("subresources", []).append({"subresource": sub, **told})
            continue
        scope = "Namespaced" if item.get("namespaced") else "Cluster"
        made[name] = {"resource": name, "scope": scope, "singularResource": item.get("singularName") or "", **told}
        made[name].update({key: item[key] for key in ("shortNames", "categories") if item.get(key)})
    return list(made.values())


def _response_kind(kind: str, group: str = "", version: str = "") -> dict[str, Any]:
    """Group and version stay empty where they are the resource's own."""
    return {"group": group, "version": version, "kind": kind}
