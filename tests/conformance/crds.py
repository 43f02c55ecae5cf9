"""Definitions of custom resources for the tests of their conformance: made, waited for, and what they define."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tests.fakes.server import World

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, is_condition_true, name_of

FREE: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_numbers = itertools.count(1)


def definition(
    schema: Obj | None = None,
    *,
    group: str = "walk.example.com",
    versions: Sequence[str] = ("v1",),
    scope: str = "Cluster",
    labels: dict[str, str] | None = None,
    **version: Any,
) -> Obj:
    """Of a kind with a name that nobody else has; the first version is the stored one."""
    kind = f"Walker{next(_numbers)}"
    names = {"plural": f"{kind.lower()}s", "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    found = [
        {"name": name, "served": True, "storage": not index, "schema": {"openAPIV3Schema": schema or FREE}, **version}
        for index, name in enumerate(versions)
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}", "labels": labels or {}},
        "spec": {"group": group, "scope": scope, "names": names, "versions": found},
    }


def resource(defined: Obj, version: str = "") -> Resource:
    """What it defines, in its first version or another."""
    spec = defined["spec"]
    chosen = version or spec["versions"][0]["name"]
    return Resource(spec["group"], chosen, spec["names"]["plural"], spec["scope"] == "Namespaced", spec["names"]["kind"])


def instance(defined: Obj, name: str, version: str = "", **fields: Any) -> Obj:
    found = resource(defined, version)
    return {"apiVersion": found.api_version, "kind": found.kind, "metadata": {"name": name}, **fields}


async def define(world: World, wanted: Obj) -> Obj:
    """The definition, once what it defines is served."""
    await world.client.create(CUSTOM_RESOURCE_DEFINITIONS, wanted)
    async for event in world.client.watch(CUSTOM_RESOURCE_DEFINITIONS, field_selector=f"metadata.name={name_of(wanted)}"):
        if is_condition_true(event.object, "Established"):
            return event.object
    raise AssertionError("the watch ended")


_TEXT = {"type": "string"}


def host_and_port(*, hook: Obj, stored: str = "v1", selectable: bool = False) -> Obj:
    """v1 has `hostPort`, v2 `host` and `port`; a webhook converts, which converts by `convert_host_and_port`."""
    made = definition(group="stable.example.com", versions=("v1", "v2"), scope="Namespaced")
    fields = {"v1": ("hostPort",), "v2": ("host", "port")}
    for version in made["spec"]["versions"]:
        names = fields[version["name"]]
        version["storage"] = version["name"] == stored
        version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": dict.fromkeys(names, _TEXT)}}
        if selectable:
            version["selectableFields"] = [{"jsonPath": f".{name}"} for name in names]
    webhook = {"clientConfig": hook, "conversionReviewVersions": ["v1", "v1beta1"]}
    made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    return made


def convert_host_and_port(review: Obj) -> Obj:
    """Answers a ConversionReview."""
    request = review["request"]
    objects = []
    for obj in request["objects"]:
        made = {**obj, "apiVersion": request["desiredAPIVersion"]}
        if made["apiVersion"].endswith("/v2"):
            made["host"], _, made["port"] = made.pop("hostPort", "").partition(":")
        else:
            made["hostPort"] = f"{made.pop('host', '')}:{made.pop('port', '')}"
        objects.append(made)
    response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
    return {"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": response}
