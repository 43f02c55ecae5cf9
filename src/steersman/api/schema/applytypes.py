"""What built-in kinds are to server-side apply, from the schema facts. Source: k8s.io/kube-openapi, schemaconv."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from steersman.api.schema.loader import PREFIX, Definition, Field, definition
from steersman.api.schema.loader import Type as Word
from steersman.machinery.apply.types import ANY, ANY_ATOMIC, UNTYPED, Type

OBJECT_META = f"{PREFIX}apimachinery.pkg.apis.meta.v1.ObjectMeta"
NOT_OWNED = frozenset(("apiVersion", "kind"))
NOT_OWNED_METADATA = frozenset(
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"]
)
_STRING, _NUMERIC, _BOOLEAN = Type("scalar", scalar="string"), Type("scalar", scalar="numeric"), Type("scalar", scalar="boolean")
_SCALARS = {
    "string": _STRING,
    "bytes": _STRING,
    "boolean": _BOOLEAN,
    "int32": _NUMERIC,
    "int64": _NUMERIC,
    "integer": _NUMERIC,
    "double": _NUMERIC,
    "number": _NUMERIC,
    "raw": ANY_ATOMIC,
    "any": ANY,
}
_ZEROS = {"string": "", "int32": 0, "int64": 0}
_KEY_DEFAULTS = {
    ("ContainerPort", "protocol"): "TCP",
    ("ServicePort", "protocol"): "TCP",
    ("LocalObjectReference", "name"): "",
}
"""Besides keys that are required: those are empty where a client leaves them out."""

_KIND_STRUCTS = ("metadata", "spec", "status")
_STRUCTS = {
    "admissionregistration.v1.MutatingWebhook": "clientConfig",
    "admissionregistration.v1.ValidatingWebhook": "clientConfig",
    "apps.v1.DaemonSetSpec": "template updateStrategy",
    "apps.v1.DeploymentSpec": "strategy template",
    "apps.v1.ReplicaSetSpec": "template",
    "apps.v1.StatefulSetSpec": "template updateStrategy",
    "autoscaling.v1.HorizontalPodAutoscalerSpec": "scaleTargetRef",
    "autoscaling.v2.ContainerResourceMetricSource": "target",
    "autoscaling.v2.ContainerResourceMetricStatus": "current",
    "autoscaling.v2.ExternalMetricSource": "metric target",
    "autoscaling.v2.ExternalMetricStatus": "current metric",
    "autoscaling.v2.HorizontalPodAutoscalerSpec": "scaleTargetRef",
    "autoscaling.v2.ObjectMetricSource": "describedObject metric target",
    "autoscaling.v2.ObjectMetricStatus": "current describedObject metric",
    "autoscaling.v2.PodsMetricSource": "metric target",
    "autoscaling.v2.PodsMetricStatus": "current metric",
    "autoscaling.v2.ResourceMetricSource": "target",
    "autoscaling.v2.ResourceMetricStatus": "current",
    "batch.v1.CronJobSpec": "jobTemplate",
    "batch.v1.JobSpec": "template",
    "batch.v1.JobTemplateSpec": "metadata spec",
    "core.v1.Container": "resources",
    "core.v1.ContainerStatus": "lastState state",
    "core.v1.EphemeralContainer": "resources",
    "core.v1.Event": "involvedObject source",
    "core.v1.NodeDaemonEndpoints": "kubeletEndpoint",
    "core.v1.NodeStatus": "daemonEndpoints nodeInfo",
    "core.v1.PersistentVolumeClaimSpec": "resources",
    "core.v1.PersistentVolumeClaimTemplate": "metadata spec",
    "core.v1.PodTemplate": "template",
    "core.v1.PodTemplateSpec": "metadata spec",
    "core.v1.PreferredSchedulingTerm": "preference",
    "core.v1.ServiceStatus": "loadBalancer",
    "core.v1.WeightedPodAffinityTerm": "podAffinityTerm",
    "discovery.v1.Endpoint": "conditions",
    "events.v1.Event": "deprecatedSource regarding",
    "flowcontrol.v1.FlowSchemaSpec": "priorityLevelConfiguration",
    "flowcontrol.v1.LimitedPriorityLevelConfiguration": "limitResponse",
    "networking.v1.HTTPIngressPath": "backend",
    "networking.v1.IngressServiceBackend": "port",
    "networking.v1.IngressStatus": "loadBalancer",
    "networking.v1.NetworkPolicySpec": "podSelector",
    "rbac.v1.ClusterRoleBinding": "roleRef",
    "rbac.v1.RoleBinding": "roleRef",
    "resource.v1.AllocationResult": "devices",
    "resource.v1.ResourceClaimSpec": "devices",
    "resource.v1.ResourceClaimTemplateSpec": "metadata spec",
    "resource.v1.ResourceSliceSpec": "pool",
    "storage.v1.VolumeAttachmentSpec": "source",
    "apiextensions.v1.CustomResourceDefinitionSpec": "names",
    "apiextensions.v1.CustomResourceDefinitionStatus": "acceptedNames",
}
"""Structs that are no pointers in Go, besides metadata, spec and status of kinds: they are there even when they are empty."""


@cache
def of_kind(name: str) -> Type:
    """The type of a kind's whole objects, by its definition's full name."""
    struct = of_definition(name)

    def members() -> tuple[Mapping[str, Type], Type | None]:
        return {**struct.fields, "metadata": object_meta()}, None

    return Type("map", always=struct.always, ignored=NOT_OWNED, members=members)


@cache
def object_meta() -> Type:
    """metadata of a whole object: less what nobody owns."""
    struct = of_definition(OBJECT_META)
    return Type("map", always=struct.always, ignored=NOT_OWNED_METADATA, members=lambda: (struct.fields, None))


@cache
def of_definition(name: str) -> Type:
    found = definition(name)

    def members() -> tuple[Mapping[str, Type], Type | None]:
        return {field.name: _of_field(field) for field in found.fields.values()}, None

    return Type("map", atomic=found.map_type == "atomic", always=_always(found), members=members)


def _always(found: Definition) -> dict[str, Any]:
    """What Go writes of an empty struct: structs that are no pointers, and null for what is required."""
    structs = _STRUCTS.get(found.name.removeprefix(PREFIX).removeprefix("api."), "").split()
    if not structs:
        structs = _STRUCTS.get(".".join(found.name.rsplit(".", 3)[1:]), "").split()
    if found.gvks:
        structs += [name for name in _KIND_STRUCTS if name in found.fields]
    made: dict[str, Any] = {}
    for field in found.fields.values():
        if field.type.kind in ("ref", "list", "map") and (field.required or field.name in structs):
            made[field.name] = {} if field.name in structs else None
    return made


def _of_field(field: Field) -> Type:
    word = field.type
    if word.kind == "list":
        assert word.item is not None
        item = word.item
        granular = field.list_type in ("map", "set")
        return Type(
            "list",
            atomic=not granular,
            keys=field.list_map_keys if field.list_type == "map" else (),
            key_defaults=_key_defaults(item, field.list_map_keys),
            members=lambda: ({}, _of_word(item)),
        )
    if word.kind == "ref" and field.map_type:
        struct = of_definition(word.ref)
        atomic = field.map_type == "atomic"
        return Type("map", atomic=atomic, always=struct.always, members=lambda: (struct.fields, None))
    if word.kind == "map":
        return _map(word, atomic=field.map_type == "atomic")
    return _of_word(word)


def _key_defaults(item: Word, keys: tuple[str, ...]) -> dict[str, Any]:
    if not keys:
        return {}
    struct = definition(item.ref)
    made: dict[str, Any] = {}
    for key in keys:
        known = _KEY_DEFAULTS.get((struct.short_name, key))
        if known is not None:
            made[key] = known
        elif key in struct.required:
            made[key] = _ZEROS[struct.fields[key].type.kind]
    return made


def _of_word(word: Word) -> Type:
    if word.kind == "ref":
        return of_definition(word.ref)
    if word.kind == "map":
        return _map(word)
    if word.kind == "list":
        # A list in a list or a map: the facts have no list type there.
        item = word.item
        assert item is not None
        return Type("list", atomic=True, members=lambda: ({}, _of_word(item)))
    return _SCALARS.get(word.kind, UNTYPED)


def _map(word: Word, *, atomic: bool = False) -> Type:
    item = word.item
    assert item is not None
    return Type("map", atomic=atomic, members=lambda: ({}, _of_word(item)))
