"""The core group, v1: what the API server needs to know of each kind."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import core as defaults
from steersman.api.defaults import pod as pod_defaults
from steersman.api.defaults import service as service_defaults
from steersman.api.groups.common import CONNECT, GET_PATCH_UPDATE, PROXY, SCALE, selectable
from steersman.api.kinds import ALL_VERBS, STATUS, KindSpec, Subresource
from steersman.api.strategies import core, event, pod
from steersman.machinery.gvk import Resource

SCHEMA = "io.k8s.api.core.v1."

PODS = KindSpec(
    resource=r.PODS,
    short_names=("po",),
    categories=("all",),
    schema=SCHEMA + "Pod",
    default=pod_defaults.pod,
    strategy=pod.POD,
    subresources=(
        Subresource("attach", CONNECT, "PodAttachOptions"),
        Subresource("binding", ("create",), "Binding"),
        Subresource("ephemeralcontainers", GET_PATCH_UPDATE),
        Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
        Subresource("exec", CONNECT, "PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", CONNECT, "PodPortForwardOptions"),
        Subresource("proxy", PROXY, "PodProxyOptions"),
        Subresource("resize", GET_PATCH_UPDATE),
        STATUS,
    ),
    selectable=selectable(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
        aliases={"spec.host": "spec.nodeName"}, false_fields=("spec.hostNetwork",),
    ),
    strict_field_message=True,
    delete_returns_object=True,
)  # fmt: skip

SERVICES = KindSpec(
    resource=r.SERVICES,
    short_names=("svc",),
    categories=("all",),
    schema=SCHEMA + "Service",
    default=service_defaults.service,
    strategy=core.SERVICE,
    subresources=(Subresource("proxy", PROXY, "ServiceProxyOptions"), STATUS),
    selectable=selectable("spec.clusterIP", "spec.type"),
    strict_field_message=True,
    delete_returns_object=True,
)

NODES = KindSpec(
    resource=r.NODES,
    short_names=("no",),
    schema=SCHEMA + "Node",
    default=defaults.node,
    strategy=core.NODE,
    subresources=(Subresource("proxy", PROXY, "NodeProxyOptions"), STATUS),
    selectable=selectable("spec.unschedulable", false_fields=("spec.unschedulable",)),
    strict_field_message=True,
)

NAMESPACES = KindSpec(
    resource=r.NAMESPACES,
    short_names=("ns",),
    verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
    schema=SCHEMA + "Namespace",
    default=defaults.namespace,
    strategy=core.NAMESPACE,
    subresources=(Subresource("finalize", ("update",)), STATUS),
    selectable=selectable("status.phase"),
    strict_field_message=True,
    delete_returns_object=True,
)

SECRETS = KindSpec(
    resource=r.SECRETS,
    schema=SCHEMA + "Secret",
    default=defaults.secret,
    strategy=core.SECRET,
    selectable=selectable("type"),
    strict_field_message=True,
)

CONFIG_MAPS = KindSpec(resource=r.CONFIG_MAPS, short_names=("cm",), schema=SCHEMA + "ConfigMap", strategy=core.CONFIG_MAP)

SERVICE_ACCOUNTS = KindSpec(
    resource=r.SERVICE_ACCOUNTS,
    short_names=("sa",),
    schema=SCHEMA + "ServiceAccount",
    default=defaults.service_account,
    strategy=core.SERVICE_ACCOUNT,
    subresources=(Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),),
    delete_returns_object=True,
)

PERSISTENT_VOLUMES = KindSpec(
    resource=r.PERSISTENT_VOLUMES,
    short_names=("pv",),
    schema=SCHEMA + "PersistentVolume",
    default=defaults.persistent_volume,
    strategy=core.PERSISTENT_VOLUME,
    subresources=(STATUS,),
    delete_returns_object=True,
)

PERSISTENT_VOLUME_CLAIMS = KindSpec(
    resource=r.PERSISTENT_VOLUME_CLAIMS,
    short_names=("pvc",),
    schema=SCHEMA + "PersistentVolumeClaim",
    default=defaults.persistent_volume_claim,
    strategy=core.PERSISTENT_VOLUME_CLAIM,
    subresources=(STATUS,),
    delete_returns_object=True,
)

RESOURCE_QUOTAS = KindSpec(
    resource=Resource("", "v1", "resourcequotas", kind="ResourceQuota"),
    short_names=("quota",),
    schema=SCHEMA + "ResourceQuota",
    strategy=core.RESOURCE_QUOTA,
    subresources=(STATUS,),
    delete_returns_object=True,
)

LIMIT_RANGES = KindSpec(
    resource=Resource("", "v1", "limitranges", kind="LimitRange"),
    short_names=("limits",),
    schema=SCHEMA + "LimitRange",
    default=defaults.limit_range,
    strategy=core.LIMIT_RANGE,
)

REPLICATION_CONTROLLERS = KindSpec(
    resource=r.REPLICATION_CONTROLLERS,
    short_names=("rc",),
    categories=("all",),
    schema=SCHEMA + "ReplicationController",
    default=defaults.replication_controller,
    strategy=core.REPLICATION_CONTROLLER,
    subresources=(SCALE, STATUS),
    selectable=selectable("status.replicas", zero_fields=("status.replicas",)),
    strict_field_message=True,
)

ENDPOINTS = KindSpec(
    resource=r.ENDPOINTS, short_names=("ep",), schema=SCHEMA + "Endpoints", default=defaults.endpoints, strategy=core.ENDPOINTS
)

POD_TEMPLATES = KindSpec(
    resource=Resource("", "v1", "podtemplates", kind="PodTemplate"),
    schema=SCHEMA + "PodTemplate",
    default=defaults.pod_template,
    strategy=core.POD_TEMPLATE,
    delete_returns_object=True,
)

EVENTS = KindSpec(
    resource=r.EVENTS,
    short_names=("ev",),
    schema=SCHEMA + "Event",
    strategy=event.EVENT,
    selectable=selectable(*(f"involvedObject.{name}" for name in event.REFERENCE_FIELDS), "reason", "reportingComponent", "type")
    | event.EXTRA_FIELDS,
    strict_field_message=True,
    ttl_s=event.TTL_S,
)

BINDINGS = KindSpec(
    resource=Resource("", "v1", "bindings", kind="Binding"), verbs=("create",), schema=SCHEMA + "Binding", virtual=True
)

COMPONENT_STATUSES = KindSpec(
    resource=Resource("", "v1", "componentstatuses", False, "ComponentStatus"),
    short_names=("cs",),
    verbs=("get", "list"),
    schema=SCHEMA + "ComponentStatus",
    virtual=True,
)

KINDS: tuple[KindSpec, ...] = (
    BINDINGS, COMPONENT_STATUSES, CONFIG_MAPS, ENDPOINTS, EVENTS, LIMIT_RANGES, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES, PODS, POD_TEMPLATES, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS, SECRETS, SERVICE_ACCOUNTS, SERVICES,
)  # fmt: skip
