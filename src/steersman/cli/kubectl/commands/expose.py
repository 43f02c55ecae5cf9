"""`kubectl expose`: a Service for what selects pods."""

from __future__ import annotations

from typing import Any

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.lastapplied import annotate
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery import yamlio
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, labels_of

SUMMARY = "Expose a resource as a new Kubernetes service."
USAGE = (
    "expose (-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] "
    "[--external-ip=external-ip-of-service] [--type=type] [options]"
)
EXAMPLES = """  # Create a service for an nginx deployment, which serves on port 80 and connects to the containers on port 8000
  kubectl expose deployment nginx --port=80 --target-port=8000"""
FLAGS = (
    Flag("cluster-ip", help="ClusterIP to be assigned to the service. Set to 'None' to create a headless service."),
    common.DRY_RUN,
    Flag("external-ip", help="Additional external IP address (not managed by Kubernetes) to accept for the service."),
    common.field_manager("kubectl-expose"),
    Flag("labels", help="Labels to apply to the service created by this call.", short="l"),
    Flag("load-balancer-ip", help="IP to assign to the LoadBalancer."),
    Flag("name", help="The name for the newly created object."),
    Flag("override-type", help="The method used to override the generated object: json, merge, or strategic.", default="merge"),
    Flag("overrides", help="An inline JSON override for the generated object."),
    Flag("port", help="The port that the service should serve on."),
    Flag("protocol", help="The network protocol for the service to be created. Default is 'TCP'."),
    Flag("save-config", "bool", "If true, the configuration of current object will be saved in its annotation."),
    Flag("selector", help="A label selector to use for this service."),
    Flag(
        "session-affinity",
        help="If non-empty, set the session affinity for the service; legal values: 'None', 'ClientIP'",
    ),
    Flag("target-port", help="Name or number for the port on the container that the service should direct traffic to."),
    Flag("type", help="Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName. Default is 'ClusterIP'."),
    *common.FILES,
    *common.PRINTING,
)
_EXPOSABLE = frozenset({"Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet"})
_SERVICES = Resource("", "v1", "services", True, "Service")


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    writer = Writer(ctx, "kubectl-expose")
    query = query_of(_without_selector(flags), args)
    found = await find(ctx, query)
    for info in found.infos:
        try:
            await _expose(ctx, flags, writer, info)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


def _without_selector(flags: Flags) -> Flags:
    """--selector is the Service's here, and chooses nothing."""
    return flags.masked((Flag("selector"),))


async def _expose(ctx: Context, flags: Flags, writer: Writer, info: Info) -> None:
    if info.resource.kind not in _EXPOSABLE:
        raise KubectlError(f"cannot expose a {info.resource.kind}")
    obj = overridden(_service(ctx, flags, info), flags.text("overrides"), flags.text("override-type"))
    if flags.on("save-config"):
        obj = annotate(obj)
    mapping = await ctx.mapper.for_kind("", "v1", "Service")
    made = Info(mapping, ctx.namespace, obj["metadata"]["name"], "", obj)
    if not writer.local:
        made.refresh(await writer.create(made))
    writer.tell(made, "exposed")


def _service(ctx: Context, flags: Flags, info: Info) -> Obj:
    spec: Obj = {"ports": _ports(flags, info), "selector": _selector(flags, info)}
    for flag, field in (("type", "type"), ("cluster-ip", "clusterIP"), ("session-affinity", "sessionAffinity")):
        if value := flags.text(flag):
            spec[field] = value
    if flags.text("type") == "LoadBalancer" and flags.text("load-balancer-ip"):
        spec["loadBalancerIP"] = flags.text("load-balancer-ip")
    if address := flags.text("external-ip"):
        spec["externalIPs"] = [address]
    metadata: Obj = {"creationTimestamp": None, "name": flags.text("name") or info.name}
    labels = _parsed_labels(flags.text("labels")) if flags.text("labels") else labels_of(info.object)
    if labels:
        metadata["labels"] = labels
    if ctx.namespace_set:
        metadata["namespace"] = ctx.namespace
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}


def _selector(flags: Flags, info: Info) -> dict[str, str]:
    if flags.text("selector"):
        return _parsed_labels(flags.text("selector"))
    obj = info.object
    if info.resource.kind == "Pod":
        found = labels_of(obj)
        if not found:
            raise KubectlError(
                "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed"
            )
        return found
    if info.resource.kind in ("Service", "ReplicationController"):
        return dict(dig(obj, "spec", "selector", default={}))
    selector = dig(obj, "spec", "selector", default={})
    if selector.get("matchExpressions"):
        raise KubectlError(
            "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - "
            f'"{selector["matchExpressions"]}" to map-based selector format'
        )
    return dict(selector.get("matchLabels") or {})


def _ports(flags: Flags, info: Info) -> list[Obj]:
    """--port, else those of the object; several get names."""
    numbers = flags.text("port").split(",") if flags.text("port") else _own_ports(info)
    if not numbers:
        raise KubectlError("couldn't find port via --port flag or introspection")
    own = dict(_own_protocols(info))
    ports: list[Obj] = []
    for number, text in enumerate(numbers, 1):
        if not text.isdecimal():
            raise KubectlError(f'strconv.Atoi: parsing "{text}": invalid syntax')
        target = flags.text("target-port") or text
        port: Obj = {
            "port": int(text),
            "protocol": flags.text("protocol") or own.get(text, "TCP"),
            "targetPort": int(target) if target.isdecimal() else target,
        }
        ports.append({"name": f"port-{number}", **port} if len(numbers) > 1 else port)
    return ports


def _own_ports(info: Info) -> list[str]:
    return [port for port, _ in _own_protocols(info)]


def _own_protocols(info: Info) -> list[tuple[str, str]]:
    obj = info.object
    if info.resource.kind == "Service":
        return [(str(port["port"]), port.get("protocol") or "TCP") for port in dig(obj, "spec", "ports", default=())]
    spec = obj.get("spec") or {}
    spec = spec if info.resource.kind == "Pod" else dig(spec, "template", "spec", default={})
    return [
        (str(port["containerPort"]), port.get("protocol") or "TCP")
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
    ]


def _parsed_labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise KubectlError(f"unexpected label spec: {text}")
        found[key] = value
    return found


def overridden(obj: Obj, overrides: str, kind: str) -> Obj:
    """The object with --overrides on it. `kind`: --override-type."""
    if not overrides:
        return obj
    from steersman.cli.kubectl.patching import applied

    try:
        patch: Any = yamlio.load(overrides)
    except ValueError as error:
        raise KubectlError(f"--overrides is no JSON: {error}") from None
    resource = _SERVICES if obj["kind"] == "Service" else Resource("", "v1", "pods", True, "Pod")
    return applied(resource, obj, patch, kind)
