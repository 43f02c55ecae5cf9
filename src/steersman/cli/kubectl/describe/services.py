"""Service, Endpoints, EndpointSlice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from steersman.api.resources import ENDPOINT_SLICES
from steersman.cli.kubectl.describe.golang import verb_v
from steersman.cli.kubectl.describe.subject import Subject, head, or_unset, pairs
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, name_of, namespace_of

SERVICE_NAME = "kubernetes.io/service-name"
_SHOWN = 3


async def describe_service(subject: Subject, w: Writer) -> None:
    spec = subject.spec
    try:
        slices = await slices_of(subject, name_of(subject.obj))
    except StatusError:
        slices = []
    head(w, subject.obj)
    w.field("Selector", pairs(spec.get("selector")))
    w.field("Type", spec.get("type", ""))
    if spec.get("ipFamilyPolicy") is not None:
        w.field("IP Family Policy", spec["ipFamilyPolicy"])
    w.field("IP Families", ",".join(spec.get("ipFamilies") or ()) or "<none>")
    w.field("IP", spec.get("clusterIP", ""))
    w.field("IPs", ",".join(spec["clusterIPs"]) if spec.get("clusterIPs") else "<none>")
    if spec.get("externalIPs"):
        w.field("External IPs", ",".join(spec["externalIPs"]))
    if spec.get("loadBalancerIP"):
        w.field("Desired LoadBalancer IP", spec["loadBalancerIP"])
    if spec.get("externalName"):
        w.field("External Name", spec["externalName"])
    if ingress := (subject.status.get("loadBalancer") or {}).get("ingress"):
        w.field("LoadBalancer Ingress", ", ".join(map(_ingress, ingress)))
    for port in spec.get("ports") or ():
        _write_port(w, port, slices)
    _write_policies(w, spec)
    await subject.write_events(w)


def _ingress(item: Obj) -> str:
    if not item.get("ip"):
        return str(item.get("hostname", ""))
    return f"{item['ip']} ({item['ipMode']})" if item.get("ipMode") is not None else str(item["ip"])


def _write_port(w: Writer, port: Obj, slices: Sequence[Obj]) -> None:
    name, protocol = port.get("name") or "<unset>", port.get("protocol", "")
    w.field("Port", f"{name}\t{port.get('port', 0)}/{protocol}")
    w.field("TargetPort", f"{port.get('targetPort', 0)}/{protocol}")
    if port.get("nodePort"):
        w.field("NodePort", f"{name}\t{port['nodePort']}/{protocol}")
    w.field("Endpoints", endpoints_text(slices, port.get("name") or ""))


def _write_policies(w: Writer, spec: Obj) -> None:
    w.field("Session Affinity", spec.get("sessionAffinity", ""))
    for title, key in (
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("HealthCheck NodePort", "healthCheckNodePort"),
    ):
        if spec.get(key):
            w.field(title, spec[key])
    if spec.get("loadBalancerSourceRanges"):
        w.field("LoadBalancer Source Ranges", ",".join(spec["loadBalancerSourceRanges"]))


async def slices_of(subject: Subject, service: str) -> list[Obj]:
    return await subject.items(ENDPOINT_SLICES, namespace_of(subject.obj), label_selector=f"{SERVICE_NAME}={service}")


def endpoints_text(slices: Sequence[Obj], port_name: str) -> str:
    """The first three ready endpoints of a port, and how many more there are. Slices without ports count for any port."""
    if not slices:
        return "<none>"
    shown: list[str] = []
    ready, more = 0, False
    for address, is_ready in _endpoints(slices, port_name):
        # Upstream says that there are more as soon as anything follows, be it ready or not: `+ 0 more...`.
        more = more or len(shown) == _SHOWN
        if not is_ready:
            continue
        ready += 1
        if not more:
            shown.append(address)
    text = ",".join(shown)
    return f"{text} + {ready - _SHOWN} more..." if more else text


def _endpoints(slices: Sequence[Obj], port_name: str) -> Iterator[tuple[str, bool]]:
    """(address, with the port if there is one; whether it is ready)."""
    for item in slices:
        endpoints = [
            (endpoint["addresses"][0], (endpoint.get("conditions") or {}).get("ready") is not False)
            for endpoint in item.get("endpoints") or ()
        ]
        ports = item.get("ports")
        if not ports:
            yield from endpoints
        for port in ports or ():
            if (port.get("name") or "") == port_name:
                yield from ((_host_port(address, port.get("port", 0)), ready) for address, ready in endpoints)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def describe_endpoints(subject: Subject, w: Writer) -> None:
    head(w, subject.obj)
    w.write("Subsets:\n")
    for subset in subject.obj.get("subsets") or ():
        for title, key in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            w.field(title, ",".join(address.get("ip", "") for address in subset.get(key) or ()) or "<none>", 1)
        if subset.get("ports"):
            w.write("Ports:\n", 1)
            _write_ports(w, subset["ports"], 2)
        w.write("\n")
    await subject.write_events(w)


def _write_ports(w: Writer, ports: Sequence[Obj], level: int) -> None:
    w.heading("Name", "Port", "Protocol", level=level)
    for port in ports:
        w.row(port.get("name") or "<unset>", or_unset(port.get("port")), port.get("protocol", ""), level=level)


async def describe_endpoint_slice(subject: Subject, w: Writer) -> None:
    head(w, subject.obj)
    w.field("AddressType", subject.obj.get("addressType", ""))
    ports, endpoints = subject.obj.get("ports"), subject.obj.get("endpoints")
    w.write("Ports:\n" if ports else "Ports: <unset>\n")
    if ports:
        _write_ports(w, ports, 1)
    w.write("Endpoints:\n" if endpoints else "Endpoints: <none>\n")
    for endpoint in endpoints or ():
        w.field("- Addresses", ", ".join(endpoint.get("addresses") or ()) or "<none>", 1)
        w.write("Conditions:\n", 2)
        ready = (endpoint.get("conditions") or {}).get("ready")
        w.field("Ready", "<unset>" if ready is None else verb_v(ready), 3)
        w.field("Hostname", or_unset(endpoint.get("hostname")), 2)
        if (target := endpoint.get("targetRef")) is not None:
            w.field("TargetRef", f"{target.get('kind', '')}/{target.get('name', '')}", 2)
        w.field("NodeName", or_unset(endpoint.get("nodeName")), 2)
        w.field("Zone", or_unset(endpoint.get("zone")), 2)
    await subject.write_events(w)


DESCRIBERS = {"Service": describe_service, "Endpoints": describe_endpoints, "EndpointSlice": describe_endpoint_slice}
