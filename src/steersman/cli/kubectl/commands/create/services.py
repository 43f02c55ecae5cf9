"""`kubectl create service`: clusterip, nodeport, loadbalancer, externalname."""

from __future__ import annotations

from functools import partial

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.machinery.meta import Obj

_HERE = "steersman.cli.kubectl.commands.create.services:"
_MAX_PORT = 65535
_TCP = Flag("tcp", "strings", "Port pairs can be specified as '<port>:<targetPort>'.")


def service(kind: str, wanted: Wanted) -> Obj:
    flags = wanted.flags
    labels = {"app": wanted.name}
    ports = [_port(text) for text in flags.texts("tcp")]
    headless = flags.has("clusterip") and flags.text("clusterip") == "None"
    if not ports and not headless and kind != "ExternalName":
        raise KubectlError("at least one tcp port specifier must be provided")
    spec: Obj = {"type": kind, "selector": labels}
    if flags.has("node-port") and flags.number("node-port"):
        for port in ports:
            port["nodePort"] = flags.number("node-port")
    if ports:
        spec["ports"] = ports
    if flags.has("clusterip") and flags.text("clusterip"):
        spec["clusterIP"] = flags.text("clusterip")
    if kind == "ExternalName":
        spec["externalName"] = flags.text("external-name")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(wanted.name, labels=labels),
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _port(text: str) -> Obj:
    """`80`, `80:8080`, `80:http`."""
    first, colon, target = text.partition(":")
    port = _number(first)
    name = f"{first}-{target}" if colon else first
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": _target(target) if colon else port}


def _target(text: str) -> int | str:
    return _number(text) if text.isdecimal() else text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise KubectlError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    number = int(text)
    if not 0 < number <= _MAX_PORT:
        raise KubectlError("must be between 1 and 65535, inclusive")
    return number


def _command(word: str, kind: str, *flags: Flag, required: tuple[str, ...] = ()) -> Command:
    return generator(
        f"Create a {kind} service with the specified name.",
        f"create service {word} NAME [--tcp=<port>:<targetPort>] [--dry-run=server|client|none] [options]",
        partial(service, kind),
        (_TCP, *flags),
        required=required,
        failing=f"failed to create {kind} service: ",
    )


CLUSTER_IP = _command(
    "clusterip", "ClusterIP", Flag("clusterip", help="Assign your own ClusterIP or set to 'None' for headless.")
)
NODE_PORT = _command("nodeport", "NodePort", Flag("node-port", "int", "Port used to expose the service on each node."))
LOAD_BALANCER = _command("loadbalancer", "LoadBalancer")
EXTERNAL_NAME = _command(
    "externalname", "ExternalName", Flag("external-name", help="External name of service"), required=("external-name",)
)
SERVICE = Command(
    "Create a service using a specified subcommand.",
    "create service [flags] [options]",
    subcommands={
        "clusterip": _HERE + "CLUSTER_IP",
        "externalname": _HERE + "EXTERNAL_NAME",
        "loadbalancer": _HERE + "LOAD_BALANCER",
        "nodeport": _HERE + "NODE_PORT",
    },
)
