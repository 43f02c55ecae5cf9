"""[sig-api-machinery] chunking over a compaction, aggregated discovery of custom resources: an API server in the process does."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.server import World, world

from steersman.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition, name_of

POD_TEMPLATES = Resource("", "v1", "podtemplates", kind="PodTemplate")
AGGREGATED = "[sig-api-machinery] AggregatedDiscovery should support"
ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
GROUP = "walk.example.com"


@pytest.mark.conformance(
    "[sig-api-machinery] Servers with support for API chunking should support continue listing from the last key if the "
    "original version has been compacted away, though the list is inconsistent [Slow] [Conformance]"
)
@pytest.mark.parametrize(
    "added", [pytest.param(["t-20-new"], id="one came in between"), pytest.param([], id="nothing of the kind has changed")]
)
def test_a_list_goes_on_after_its_version_has_been_forgotten(added: list[str]) -> None:
    async def scenario() -> None:
        async with world() as w:
            for number in range(40):
                template = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
                made = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": f"t-{number:02}"}, "template": template}
                await w.client.create(POD_TEMPLATES, made, "default")
            first = await w.client.list(POD_TEMPLATES, "default", limit=7)
            meta = first["metadata"]
            assert (len(first["items"]), meta["remainingItemCount"]) == (7, 33)
            # Something happens, after which the first version is forgotten.
            for name in added:
                await w.client.create(POD_TEMPLATES, {**made, "metadata": {"name": name}}, "default")
            await w.client.create(CONFIG_MAPS, {"metadata": {"name": "other"}}, "default")
            await w.client.list(POD_TEMPLATES, "default")
            second = await w.obj("GET", f"{POD_TEMPLATES.path('default')}?limit=7&continue={meta['continue']}")
            assert second["metadata"]["resourceVersion"] == meta["resourceVersion"]
            await w.store.compact(int(meta["resourceVersion"]) + 1)
            refused = await w.obj("GET", f"{POD_TEMPLATES.path('default')}?limit=7&continue={meta['continue']}")
            assert (refused["code"], refused["reason"]) == (410, "Expired")
            await the_rest(w, refused["metadata"]["continue"], int(meta["resourceVersion"]))

    async def the_rest(w: World, token: str, before: int) -> None:
        seen: list[str] = []
        versions: set[str] = set()
        while token:
            found = await w.client.list(POD_TEMPLATES, "default", limit=7, continue_=token)
            seen += [name_of(item) for item in found["items"]]
            versions.add(found["metadata"]["resourceVersion"])
            token = found["metadata"].get("continue") or ""
            assert len(found["items"]) <= 7 and found["metadata"].get("remainingItemCount", 0) == 33 + len(added) - len(seen)
        assert seen == sorted([*(f"t-{number:02}" for number in range(7, 40)), *added])
        (version,) = versions
        assert int(version) > before

    asyncio.run(scenario())


def definition() -> Obj:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"walkers.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "walkers", "kind": "Walker"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.mark.conformance(f"{AGGREGATED} aggregated discovery interface for CRDs [Conformance]")
@pytest.mark.conformance(f"{AGGREGATED} raw aggregated discovery request for CRDs [Conformance]")
def test_custom_resources_are_in_the_aggregated_document() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
            async for event in w.client.watch(CUSTOM_RESOURCE_DEFINITIONS):
                if (condition(event.object, "Established") or {}).get("status") == "True":
                    break
            found = await w.obj("GET", "/apis", accept=ACCEPT)
            assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
            (group,) = [item for item in found["items"] if name_of(item) == GROUP]
            (version,) = group["versions"]
            (resource,) = version["resources"]
            assert (version["version"], resource["resource"], resource["scope"]) == ("v1", "walkers", "Namespaced")
            assert resource["responseKind"] == {"group": GROUP, "version": "v1", "kind": "Walker"}

    asyncio.run(scenario())
