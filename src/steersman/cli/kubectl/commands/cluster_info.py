"""`kubectl cluster-info`: where the control plane and the cluster's own services are; `dump`: everything for a bug report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.output import PrintOptions, printer
from steersman.client.rest import collection_path, object_path
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, labels_of, name_of, namespace_of

SUMMARY = (
    "Display addresses of the control plane and services with label kubernetes.io/cluster-service=true. "
    "To further debug and diagnose cluster problems, use 'kubectl cluster-info dump'."
)
USAGE = "cluster-info [flags] [options]"
EXAMPLES = "  # Print the address of the control plane and cluster services\n  kubectl cluster-info"
SUBCOMMANDS = {"dump": "steersman.cli.kubectl.commands.cluster_info:DUMP"}

_SERVICES = Resource("", "v1", "services")
_PODS = Resource("", "v1", "pods")
_GREEN, _YELLOW, _BLUE, _RESET = "\x1b[0;32m", "\x1b[0;33m", "\x1b[1;34m", "\x1b[0m"
_DUMPED = (
    ("events", Resource("", "v1", "events")),
    ("replication-controllers", Resource("", "v1", "replicationcontrollers")),
    ("services", _SERVICES),
    ("daemonsets", Resource("apps", "v1", "daemonsets")),
    ("deployments", Resource("apps", "v1", "deployments")),
    ("replicasets", Resource("apps", "v1", "replicasets")),
    ("pods", _PODS),
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    server = ctx.connection.server
    found = await ctx.client.list(_SERVICES, "kube-system", label_selector="kubernetes.io/cluster-service=true")
    _line(ctx, "Kubernetes control plane", server)
    for service in found["items"]:
        name = labels_of(service).get("kubernetes.io/name") or name_of(service)
        _line(ctx, name, _address(server, service))
    ctx.print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")
    return 0


def _line(ctx: Context, name: str, where: str) -> None:
    if ctx.out.isatty():
        name, where = f"{_GREEN}{name}{_RESET}", f"{_YELLOW}{where}{_RESET}"
    ctx.print(f"{name} is running at {where}")


def _address(server: str, service: Obj) -> str:
    """Through a load balancer if the service has one, else through the API server's proxy."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    ports: list[Any] = (service.get("spec") or {}).get("ports") or []
    if ingress:
        host = ingress[0].get("ip") or ingress[0].get("hostname")
        return " ".join(f"http://{host}:{port['port']}" for port in ports)
    name = name_of(service)
    if ports:
        port = ports[0]
        scheme = "https:" if port.get("name") == "https" or port.get("port") == 443 else ""
        name = f"{scheme}{name}:{port.get('name') or ''}".rstrip(":" if not (scheme or port.get("name")) else "")
    return server + object_path(_SERVICES, namespace_of(service), name, "proxy")


async def _dump(ctx: Context, flags: Flags, args: list[str]) -> int:
    folder = flags.text("output-directory")
    suffix = flags.text("output").partition("=")[0] or "json"
    printing = printer(flags.text("output") or "json", PrintOptions(template=flags.text("template")))

    async def show(name: str, resource: Resource, namespace: str = "") -> list[Obj]:
        found: Obj = await ctx.client.raw("GET", collection_path(resource, namespace))
        text = io.StringIO()
        printing.print(found, text)
        _write(ctx, folder, name, text.getvalue(), suffix)
        return found.get("items") or []

    namespaces = flags.texts("namespaces") or [ctx.namespace if ctx.namespace_set else "default", "kube-system"]
    if flags.on("all-namespaces"):
        listed = await ctx.client.list(Resource("", "v1", "namespaces", False))
        namespaces = [name_of(item) for item in listed["items"]]
    await show("nodes", Resource("", "v1", "nodes", False))
    for namespace in namespaces:
        for name, resource in _DUMPED:
            items = await show(f"{namespace}/{name}", resource, namespace)
        for pod in items:
            await _dump_logs(ctx, folder, pod)
    if folder not in ("", "-"):
        ctx.print(f"Cluster info dumped to {folder}")
    return 0


async def _dump_logs(ctx: Context, folder: str, pod: Obj) -> None:
    namespace, name = namespace_of(pod), name_of(pod)
    texts: list[str] = []
    for container in (pod.get("spec") or {}).get("containers") or ():
        lead = f"==== START logs for container {container['name']} of pod {namespace}/{name} ====\n"
        target = object_path(_PODS, namespace, name, "log") + f"?container={container['name']}"
        try:
            text = await ctx.client.raw("GET", target, headers={"Accept": "*/*"})
        except StatusError as error:
            text = f"Create log error: {error.message}\n"
        texts.append(f"{lead}{text}==== END logs for container {container['name']} of pod {namespace}/{name} ====\n")
    _write(ctx, folder, f"{namespace}/{name}/logs", "".join(texts), "txt")


def _write(ctx: Context, folder: str, name: str, text: str, suffix: str) -> None:
    if folder in ("", "-"):
        ctx.out.write(text)
        return
    path = Path(folder, f"{name}.{suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


DUMP = Command(
    "Dump cluster information out suitable for debugging and diagnosing cluster problems.",
    "cluster-info dump [flags] [options]",
    (
        Flag("all-namespaces", "bool", "If true, dump all namespaces.  If true, --namespaces is ignored.", short="A"),
        Flag("namespaces", "strings", "A comma separated list of namespaces to dump."),
        Flag("output", help="Output format. One of: (json, yaml, name, go-template, jsonpath).", short="o", default="json"),
        Flag("template", help="Template string or path to template file to use when -o=go-template, -o=go-template-file."),
        Flag("output-directory", help="Where to output the files.  If empty or '-' uses stdout."),
        Flag("pod-running-timeout", "duration", "The length of time to wait until at least one pod is running", default=20.0),
    ),
    _dump,
)
