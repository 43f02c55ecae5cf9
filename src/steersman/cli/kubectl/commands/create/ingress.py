"""`kubectl create ingress`."""

from __future__ import annotations

import re

from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.machinery.meta import Obj

_RULE = re.compile(
    r"(?P<host>[\w*\-.]*)(?P<path>/[^=]*)=(?P<service>[\w\-]+):(?P<port>[\w\-]+)(?P<tls>,tls(=(?P<secret>[\w\-]*))?)?"
)
_BACKEND = re.compile(r"([\w\-]+):([\w\-]+)")


def ingress(wanted: Wanted) -> Obj:
    flags = wanted.flags
    rules, default = flags.texts("rule"), flags.text("default-backend")
    if not rules and not default:
        raise KubectlError(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) "
            "or a list of rules (which catch specific paths)"
        )
    parsed = [_parsed(rule) for rule in rules]
    spec: Obj = {}
    if default:
        found = _BACKEND.fullmatch(default)
        if found is None:
            raise KubectlError("default-backend should be in format servicename:serviceport")
        spec["defaultBackend"] = _backend(found[1], found[2])
    if flags.text("class"):
        spec["ingressClassName"] = flags.text("class")
    if parsed:
        spec["rules"] = _rules(parsed)
    if tls := _tls(parsed):
        spec["tls"] = tls
    metadata = meta(wanted.name)
    if annotations := [text.partition("=") for text in flags.texts("annotation")]:
        metadata["annotations"] = {key: value for key, _, value in annotations}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _parsed(rule: str) -> re.Match[str]:
    found = _RULE.fullmatch(rule)
    if found is None:
        raise KubectlError(f"rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]")
    return found


def _rules(parsed: list[re.Match[str]]) -> list[Obj]:
    """One per host; a path that ends in `*` is a prefix."""
    hosts: dict[str, list[Obj]] = {}
    for rule in parsed:
        path = rule["path"]
        prefix = path.endswith("*")
        hosts.setdefault(rule["host"], []).append(
            {
                "backend": _backend(rule["service"], rule["port"]),
                "path": path.rstrip("*") if prefix else path,
                "pathType": "Prefix" if prefix else "Exact",
            }
        )
    return [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in hosts.items()]


def _tls(parsed: list[re.Match[str]]) -> list[Obj]:
    """One entry per secret, with the hosts it is for; without a secret the controller's default."""
    secrets: dict[str, list[str]] = {}
    for rule in parsed:
        if not rule["tls"]:
            continue
        hosts = secrets.setdefault(rule["secret"] or "", [])
        if rule["host"] and rule["host"] not in hosts:
            hosts.append(rule["host"])
    entries = [
        {**({"hosts": hosts} if hosts else {}), **({"secretName": name} if name else {})} for name, hosts in secrets.items()
    ]
    return [entry for entry in entries if entry]


def _backend(service: str, port: str) -> Obj:
    return {"service": {"name": service, "port": {"number": int(port)} if port.isdecimal() else {"name": port}}}


INGRESS = generator(
    "Create an ingress with the specified name.",
    "create ingress NAME --rule=host/path=service:port[,tls[=secret]] [options]",
    ingress,
    (
        Flag("annotation", "array", "Annotation to insert in the ingress object, in the format annotation=value"),
        Flag("class", help="Ingress Class to be used"),
        Flag("default-backend", help="Default service for backend, in format of svcname:port"),
        Flag("rule", "array", "Rule in format host/path=service:port[,tls=secretname]."),
    ),
    failing="failed to create ingress: ",
)
