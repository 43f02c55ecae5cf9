"""Ingress, IngressClass, ServiceCIDR, IPAddress."""

from __future__ import annotations

from steersman.api.resources import SERVICES
from steersman.cli.kubectl.describe.services import endpoints_text, slices_of
from steersman.cli.kubectl.describe.subject import Subject, head, write_annotations, write_labels, write_timed_conditions
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, labels_of, name_of, namespace_of


async def describe_ingress(subject: Subject, w: Writer) -> None:
    ingress, spec = subject.obj, subject.spec
    w.field("Name", name_of(ingress))
    write_labels(w, "Labels", labels_of(ingress))
    w.field("Namespace", namespace_of(ingress))
    addresses = {
        item.get("ip") or item.get("hostname") for item in (subject.status.get("loadBalancer") or {}).get("ingress") or ()
    }
    w.field("Address", ",".join(sorted(address for address in addresses if address)))
    w.field("Ingress Class", "<none>" if spec.get("ingressClassName") is None else spec["ingressClassName"])
    default = "<default>" if spec.get("defaultBackend") is None else await _backend(subject, spec["defaultBackend"])
    w.field("Default backend", default)
    if spec.get("tls"):
        w.write("TLS:\n")
    for tls in spec.get("tls") or ():
        hosts, secret = ",".join(tls.get("hosts") or ()), tls.get("secretName")
        w.write(f"{secret} terminates {hosts}\n" if secret else f"SNI routes {hosts}\n", 1)
    await _write_rules(w, subject, default)
    write_annotations(w, annotations_of(ingress))
    await subject.write_events(w)


async def _write_rules(w: Writer, subject: Subject, default: str) -> None:
    w.write("Rules:\n")
    w.heading("Host", "Path", "Backends")
    rules = [rule for rule in subject.spec.get("rules") or () if rule.get("http") is not None]
    for rule in rules:
        w.row(rule.get("host") or "*", "")
        for path in rule["http"].get("paths") or ():
            w.row("", f"{path.get('path', '')} ", await _backend(subject, path.get("backend") or {}), level=2)
    if not rules:
        w.row("*", "*", default)


async def _backend(subject: Subject, backend: Obj) -> str:
    if (service := backend.get("service")) is not None:
        return await _service_backend(subject, service)
    if (resource := backend.get("resource")) is not None:
        group = "<none>" if resource.get("apiGroup") is None else resource["apiGroup"]
        return f"APIGroup: {group}, Kind: {resource.get('kind', '')}, Name: {resource.get('name', '')}"
    return ""


async def _service_backend(subject: Subject, backend: Obj) -> str:
    name, port = backend.get("name", ""), backend.get("port") or {}
    shown = f"{name}:{port.get('number') or port.get('name', '')}"
    try:
        slices = await slices_of(subject, name)
        service = await subject.client.get(SERVICES, name, namespace_of(subject.obj))
    except StatusError as error:
        return f"{shown} (<error: {error}>)"
    port_name = ""
    for item in (service.get("spec") or {}).get("ports") or ():
        if port.get("number") and port["number"] == item.get("port") or port.get("name") and port["name"] == item.get("name"):
            port_name = item.get("name") or ""
    return f"{shown} ({endpoints_text(slices, port_name)})"


async def describe_ingress_class(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    w.field("Controller", subject.spec.get("controller", ""))
    if (parameters := subject.spec.get("parameters")) is not None:
        w.write("Parameters:\n")
        if parameters.get("apiGroup") is not None:
            w.field("APIGroup", parameters["apiGroup"], 1)
        w.field("Kind", parameters.get("kind", ""), 1)
        w.field("Name", parameters.get("name", ""), 1)
    await subject.write_events(w)


async def describe_service_cidr(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    w.field("CIDRs", ", ".join(subject.spec.get("cidrs") or ()))
    if conditions := subject.status.get("conditions"):
        w.write("Status:\n")
        write_timed_conditions(w, conditions)
    await subject.write_events(w)


async def describe_ip_address(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    if (parent := subject.spec.get("parentRef")) is not None:
        w.write("Parent Reference:\n")
        for title in ("Group", "Resource", "Namespace", "Name"):
            w.field(title, parent.get(title.lower(), ""), 1)
    await subject.write_events(w)


DESCRIBERS = {
    "Ingress": describe_ingress,
    "IngressClass": describe_ingress_class,
    "ServiceCIDR": describe_service_cidr,
    "IPAddress": describe_ip_address,
}
