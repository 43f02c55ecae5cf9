"""The KindSpecs that serve a CustomResourceDefinition: one per served version, under the names that were accepted.

Versions are converted by strategy None, where only apiVersion differs, or by a webhook, which the API server asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.customresources import openapi
from steersman.api.customresources.fields import FieldAt, parts_of
from steersman.api.customresources.reading import Defaulting, Reading, Settling
from steersman.api.customresources.strategy import Custom
from steersman.api.customresources.table import table
from steersman.api.groups.common import SCALE
from steersman.api.kinds import STATUS, Conversion, KindSpec, ScalePaths, Subresource, WebhookConversion
from steersman.api.structural.applytypes import of_root
from steersman.api.structural.model import Node, build
from steersman.machinery.gvk import Resource, version_priority
from steersman.machinery.meta import Obj, dig, is_condition_true


def is_served(definition: Obj) -> bool:
    return is_condition_true(definition, "NamesAccepted") or is_condition_true(definition, "Established")


def specs(definition: Obj) -> list[KindSpec]:
    """What to serve for a definition as it is now; nothing before its names are accepted."""
    if not is_served(definition):
        return []
    versions = definition["spec"]["versions"]
    stored = next(version["name"] for version in versions if version["storage"])
    roots = {version["name"]: build(dig(version, "schema", "openAPIV3Schema")) for version in versions}
    reading = Reading(stored, roots)
    served = [version for version in versions if version["served"]]
    if not served and is_condition_true(definition, "Terminating"):
        # The instances must be reachable to be deleted.
        served = [version for version in versions if version["storage"]]
    return [_spec(definition, version, roots[version["name"]], reading) for version in served]


def _spec(definition: Obj, version: Obj, root: Node, reading: Reading) -> KindSpec:
    names = definition["status"]["acceptedNames"]
    resource = _resource(definition, version["name"])
    webhook = _webhook(definition)
    sub = version.get("subresources") or {}
    scale = _scale(sub.get("scale"))
    subresources: list[Subresource] = []
    if sub.get("status") is not None:
        subresources.append(STATUS)
    if scale is not None:
        subresources.append(SCALE)
    return KindSpec(
        resource=resource,
        list_kind=names["listKind"],
        singular=names.get("singular") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        default=Defaulting(root),
        settle=Settling(root),
        read=reading,
        openapi=openapi.schema(resource, root),
        apply_type=of_root(root),
        strategy=Custom(root, resource.kind, sub.get("status") is not None, scale).strategy(),
        subresources=tuple(subresources),
        scale=scale,
        selectable=dict(_selectable(version)),
        strict_field_message=True,
        table=table(version.get("additionalPrinterColumns") or ()),
        conversion=None if webhook is not None else _conversion(definition, version, resource),
        webhook=webhook,
        deprecation=_deprecation(definition, version),
        terminating=is_condition_true(definition, "Terminating"),
    )


def _resource(definition: Obj, version: str) -> Resource:
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    return Resource(spec["group"], version, names["plural"], spec["scope"] == "Namespaced", names["kind"])


def _scale(raw: Obj | None) -> ScalePaths | None:
    if raw is None:
        return None
    return ScalePaths(raw["specReplicasPath"], raw["statusReplicasPath"], raw.get("labelSelectorPath") or "")


def _selectable(version: Obj) -> Iterable[tuple[str, FieldAt]]:
    for item in version.get("selectableFields") or ():
        yield item["jsonPath"].removeprefix("."), FieldAt(parts_of(item["jsonPath"]))


def _conversion(definition: Obj, version: Obj, resource: Resource) -> Conversion | None:
    if version["storage"]:
        return None
    stored = next(item["name"] for item in definition["spec"]["versions"] if item["storage"])
    storage = _resource(definition, stored)
    return Conversion(
        storage,
        lambda obj: {**obj, "apiVersion": storage.api_version},
        lambda obj: {**obj, "apiVersion": resource.api_version},
    )


def _webhook(definition: Obj) -> WebhookConversion | None:
    """None where there is nothing to convert, too."""
    conversion, versions = definition["spec"].get("conversion") or {}, definition["spec"]["versions"]
    if conversion.get("strategy") != "Webhook" or len(versions) == 1:
        return None
    stored = next(version["name"] for version in versions if version["storage"])
    webhook = conversion["webhook"]
    return WebhookConversion(_resource(definition, stored), webhook["clientConfig"], tuple(webhook["conversionReviewVersions"]))


def _deprecation(definition: Obj, version: Obj) -> str:
    """The text for a Warning header; empty for versions that are not deprecated."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning"):
        return str(version["deprecationWarning"])
    group, kind = definition["spec"]["group"], definition["status"]["acceptedNames"]["kind"]
    text = f"{group}/{version['name']} {kind} is deprecated"
    served = (item["name"] for item in definition["spec"]["versions"] if item["served"] and not item.get("deprecated"))
    newest = min(served, key=version_priority, default="")
    if newest and version_priority(newest) < version_priority(version["name"]):
        return f"{text}; use {group}/{newest} {kind}"
    return text
