"""Where a passed-on request goes: container names, kubelet addresses and paths, service endpoints. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from steersman.machinery import fielderrors
from steersman.machinery.errors import BadRequest, InternalError, Invalid, ServiceUnavailable
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.gobooleans import query_bool
from steersman.machinery.meta import Obj, dig, name_of, namespace_of

_PORT_FORWARD = "portForward"
_LOG_FLAGS = ("follow", "previous", "timestamps")


class Target(NamedTuple):
    """A backend's address and the path with query to ask there. kubelet: TLS with the kubelet client certificate."""

    scheme: str
    host: str
    port: int
    path: str
    kubelet: bool = False

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def kubelet_of(node: Obj) -> tuple[str, int]:
    """(address, port) of a node's kubelet. Raises InternalError."""
    by_type = {item["type"]: item["address"] for item in dig(node, "status", "addresses", default=())}
    address = by_type.get("InternalIP") or by_type.get("Hostname") or by_type.get("ExternalIP")
    if not address:
        raise InternalError.of(f"no preferred addresses found; known addresses: {sorted(by_type)}")
    return address, dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port", default=10250)


def container_of(pod: Obj, asked: str) -> str:
    """The container that is meant. Raises BadRequest if it is not there or could be several."""
    spec, name = pod["spec"], name_of(pod)
    groups: dict[str, list[str]] = {
        key: [item["name"] for item in spec.get(key) or ()] for key in ("containers", "initContainers", "ephemeralContainers")
    }
    if asked:
        if not any(asked in names for names in groups.values()):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    names = groups["containers"]
    if len(names) == 1:
        return names[0]
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    if groups["initContainers"]:
        text += f" or one of the init containers: [{' '.join(groups['initContainers'])}]"
    if groups["ephemeralContainers"]:
        text += f" or one of the ephemeral containers: [{' '.join(groups['ephemeralContainers'])}]"
    raise BadRequest(text)


def log_path(pod: Obj, query: Sequence[tuple[str, str]]) -> str:
    """The kubelet's path for a pod's log. Raises BadRequest, Invalid."""
    first = dict(reversed(query))
    container = container_of(pod, first.get("container", ""))
    _check_log(name_of(pod), first)
    kept = [
        (key, "true" if key in _LOG_FLAGS else first[key])
        for key in ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream")
        if (query_bool(first.get(key)) if key in _LOG_FLAGS else first.get(key))
    ]
    path = f"/containerLogs/{quote(namespace_of(pod))}/{quote(name_of(pod))}/{quote(container)}"
    return f"{path}?{urlencode(kept)}" if kept else path


def _check_log(pod: str, options: dict[str, str]) -> None:
    errors: list[FieldError] = []
    for key, least, text in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        value = options.get(key)
        if value is None:
            continue
        try:
            number = int(value)
        except ValueError:
            raise BadRequest(f'unable to decode query: strconv.ParseInt: parsing "{value}": invalid syntax') from None
        if number < least:
            errors.append(fielderrors.invalid(key, number, text))
    if options.get("sinceSeconds") and options.get("sinceTime"):
        errors.append(fielderrors.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if errors:
        raise Invalid.of("", "PodLogOptions", pod, errors)


def stream_path(pod: Obj, what: str, query: Sequence[tuple[str, str]]) -> str:
    """The kubelet's path for exec, attach or portforward. Raises BadRequest."""
    where = f"{quote(namespace_of(pod))}/{quote(name_of(pod))}"
    if what == "portforward":
        ports = [("port", value) for key, value in query if key == "ports"]
        return f"/{_PORT_FORWARD}/{where}" + (f"?{urlencode(ports)}" if ports else "")
    first = dict(reversed(query))
    container = container_of(pod, first.get("container", ""))
    sent = [
        (theirs, "1")
        for ours, theirs in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
        if query_bool(first.get(ours))
    ]
    sent += [("command", value) for key, value in query if key == "command"]
    return f"/{what}/{where}/{quote(container)}?{urlencode(sent)}"


class ProxyName(NamedTuple):
    scheme: str
    name: str
    port: str


def proxy_name(kind: str, text: str) -> ProxyName:
    """`[scheme:]name[:port]`. kind is for the message. Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 1:
        found = ProxyName("", parts[0], "")
    elif len(parts) == 2:
        found = ProxyName("", parts[0], parts[1])
    elif len(parts) == 3:
        found = ProxyName(*parts)
    else:
        found = ProxyName("?", "", "")
    if found.scheme not in ("", "http", "https") or not found.name:
        raise BadRequest(f'invalid {kind} request "{text}"')
    return found


def pod_target(pod: Obj, name: ProxyName, path: str) -> Target:
    """Raises BadRequest."""
    address = dig(pod, "status", "podIP", default="")
    port = name.port
    if not port:
        ports = [item["containerPort"] for container in pod["spec"]["containers"] for item in container.get("ports") or ()]
        port = str(ports[0]) if ports else "80"
    if not port.isdigit():
        raise BadRequest(f'invalid pod request "{name.name}:{port}"')
    if not address or not _may_be_proxied(address):
        raise BadRequest("address not allowed")
    return Target(name.scheme or "http", address, int(port), path)


def _may_be_proxied(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def service_targets(service: Obj, slices: Iterable[Obj], name: ProxyName, path: str) -> list[Target]:
    """All ready endpoints behind a service's port. Raises ServiceUnavailable."""
    ports = dig(service, "spec", "ports", default=[])
    wanted = name.port
    if not wanted and len(ports) == 1:
        port = ports[0]
    else:
        port = next((item for item in ports if item.get("name", "") == wanted or str(item["port"]) == wanted), None)
    if port is None:
        raise ServiceUnavailable(f'no service port "{wanted}" found for service "{name.name}"')
    port_name = port.get("name") or ""
    found = [
        Target(name.scheme or "http", address, int(item["port"]), path)
        for part in slices
        for item in part.get("ports") or ()
        if (item.get("name") or "") == port_name and item.get("port")
        for endpoint in part.get("endpoints") or ()
        if dig(endpoint, "conditions", "ready", default=True)
        for address in endpoint["addresses"][:1]
    ]
    if not found:
        raise ServiceUnavailable(f'no endpoints available for service "{name.name}"')
    return found
