"""What a server serves: aggregated discovery (KEP-3352), or the plain documents where a server lacks it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from steersman.client.interface import Client
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource, split_api_version
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True, slots=True)
class Discovered:
    """One resource of one group version, as served. `preferred`: of the version its group prefers."""

    resource: Resource
    verbs: frozenset[str]
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    preferred: bool = True


async def discover(client: Client) -> list[Discovered]:
    """All resources of all versions, preferred versions first. A group that can't be read (a dead extension) is left out."""
    found: list[Discovered] = []
    for root in ("/api", "/apis"):
        body = await client.raw("GET", root, headers={"Accept": _AGGREGATED})
        if body.get("kind") == "APIGroupDiscoveryList":
            found += _from_aggregated(body)
        else:
            found += await _from_plain(client, root, body)
    return found


async def listable(client: Client) -> list[Resource]:
    """Resources of preferred versions that can be listed, watched and deleted: what garbage collection is about."""
    needed = {"list", "watch", "delete"}
    return [item.resource for item in await discover(client) if item.preferred and needed <= item.verbs]


def _from_aggregated(body: Obj) -> Iterable[Discovered]:
    for group in body.get("items") or ():
        name = (group.get("metadata") or {}).get("name") or ""
        for place, version in enumerate(group.get("versions") or ()):
            for item in version.get("resources") or ():
                kind = (item.get("responseKind") or {}).get("kind") or ""
                yield Discovered(
                    Resource(name, version["version"], item["resource"], item.get("scope") == "Namespaced", kind),
                    frozenset(item.get("verbs") or ()),
                    item.get("singularResource") or "",
                    tuple(item.get("shortNames") or ()),
                    tuple(item.get("categories") or ()),
                    tuple(sub["subresource"] for sub in item.get("subresources") or ()),
                    preferred=place == 0,
                )


async def _from_plain(client: Client, root: str, body: Obj) -> list[Discovered]:
    if root == "/api":
        versions = [(f"/api/{version}", place == 0) for place, version in enumerate(body.get("versions") or ())]
    else:
        versions = [
            (f"/apis/{entry['groupVersion']}", entry["groupVersion"] == (group.get("preferredVersion") or {}).get("groupVersion"))
            for group in body.get("groups") or ()
            for entry in group.get("versions") or ()
        ]
    found: list[Discovered] = []
    for path, preferred in versions:
        try:
            listed = await client.raw("GET", path)
        except StatusError as error:
            log.warning("group version can't be discovered path=%s error=%s", path, error)
            continue
        found += _from_resource_list(listed, preferred)
    return found


def _from_resource_list(listed: Any, preferred: bool) -> Iterable[Discovered]:
    group, version = split_api_version(listed["groupVersion"])
    items = listed.get("resources") or ()
    for item in items:
        if "/" in item["name"]:
            continue
        prefix = f"{item['name']}/"
        yield Discovered(
            Resource(group, version, item["name"], bool(item.get("namespaced")), item.get("kind") or ""),
            frozenset(item.get("verbs") or ()),
            item.get("singularName") or "",
            tuple(item.get("shortNames") or ()),
            tuple(item.get("categories") or ()),
            tuple(sub["name"].removeprefix(prefix) for sub in items if sub["name"].startswith(prefix)),
            preferred,
        )
