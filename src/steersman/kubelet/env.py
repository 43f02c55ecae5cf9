"""A container's environment: envFrom, env, service variables, in upstream's order. Pure: objects come in as plain data.

Source: upstream pkg/kubelet/kubelet_pods.go makeEnvironmentVariables, pkg/kubelet/envvars.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steersman.cri.interface import RuntimeFault
from steersman.kubelet import envfile
from steersman.kubelet.downward import field_value
from steersman.kubelet.expansion import expand
from steersman.kubelet.resources import resource_field
from steersman.machinery.meta import Obj, dig, name_of, namespace_of


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. config_map/secret(name) give the object or None; services: those the pod may know;
    file(volume, path) gives the text of a file in a volume of the pod's, None if it is not there, and raises OSError."""

    config_map: Callable[[str], Obj | None]
    secret: Callable[[str], Obj | None]
    services: Iterable[Obj] | None = ()
    allocatable: Mapping[str, int] = field(default_factory=dict)
    host_ips: Sequence[str] = ()
    pod_ips: Sequence[str] = ()
    file: Callable[[str, str], str | None] = lambda volume, path: None


def _config_error(message: str) -> RuntimeFault:
    return RuntimeFault(message, reason="CreateContainerConfigError")


def secret_text(encoded: str) -> str:
    return base64.b64decode(encoded).decode("utf-8", "surrogateescape")


def environment(pod: Obj, spec: Obj, sources: Sources) -> dict[str, str]:
    """The variables, in order. Raises RuntimeFault(CreateContainerConfigError) when something required is missing."""
    if sources.services is None:
        raise _config_error("services have not yet been read at least once, cannot construct envvars")
    services = service_variables(pod, sources.services)
    result: dict[str, str] = {}
    for source in spec.get("envFrom") or ():
        result.update(_env_from(source, sources))
    known: dict[str, str] = {**services, **result} if spec.get("env") else {}
    for variable in spec.get("env") or ():
        name = variable["name"]
        if variable.get("valueFrom"):
            value = _value_from(pod, spec, variable["valueFrom"], sources)
            if value is None:
                continue
        else:
            value = expand(variable.get("value") or "", known)
        result[name] = known[name] = value
    for name, value in services.items():
        result.setdefault(name, value)
    return result


def _env_from(source: Obj, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if ref := source.get("configMapRef"):
        found = sources.config_map(ref["name"])
        if found is None and not ref.get("optional"):
            raise _config_error(f'configmap "{ref["name"]}" not found')
        return {prefix + key: value for key, value in sorted(((found or {}).get("data") or {}).items())}
    if ref := source.get("secretRef"):
        found = sources.secret(ref["name"])
        if found is None and not ref.get("optional"):
            raise _config_error(f'secret "{ref["name"]}" not found')
        return {prefix + key: secret_text(value) for key, value in sorted(((found or {}).get("data") or {}).items())}
    return {}


def _value_from(pod: Obj, spec: Obj, source: Obj, sources: Sources) -> str | None:
    """The value; None for an optional one that is not there."""
    try:
        if ref := source.get("fieldRef"):
            return field_value(pod, ref["fieldPath"], host_ips=sources.host_ips, pod_ips=sources.pod_ips)
        if ref := source.get("resourceFieldRef"):
            return resource_field(pod, spec, ref, sources.allocatable)
    except ValueError as error:
        raise _config_error(str(error)) from None
    if ref := source.get("configMapKeyRef"):
        return _key(pod, ref, "ConfigMap", sources.config_map(ref["name"]), False)
    if ref := source.get("secretKeyRef"):
        return _key(pod, ref, "Secret", sources.secret(ref["name"]), True)
    if ref := source.get("fileKeyRef"):
        return _in_file(ref, sources)
    return None


def _in_file(ref: Obj, sources: Sources) -> str | None:
    try:
        text = sources.file(ref["volumeName"], ref["path"])
        value = envfile.value_of(text, ref["key"]) if text is not None else ""
    except (OSError, ValueError) as error:
        raise _config_error(f"couldn't parse env file: {error}") from None
    if value or ref.get("optional"):
        return value or None
    raise _config_error(f'environment variable key "{ref["key"]}" not found in file "{ref["path"]}"')


def _key(pod: Obj, ref: Obj, kind: str, found: Obj | None, encoded: bool) -> str | None:
    optional = bool(ref.get("optional"))
    if found is None:
        if optional:
            return None
        raise _config_error(f'{kind.lower()} "{ref["name"]}" not found')
    value = (found.get("data") or {}).get(ref["key"])
    if value is None:
        if optional:
            return None
        raise _config_error(f"couldn't find key {ref['key']} in {kind} {namespace_of(pod)}/{ref['name']}")
    return secret_text(value) if encoded else str(value)


def service_variables(pod: Obj, services: Iterable[Obj]) -> dict[str, str]:
    """Docker-links style variables of the services the pod may know: its namespace's, and `kubernetes` of `default` always."""
    own = namespace_of(pod) if dig(pod, "spec", "enableServiceLinks", default=True) else None
    chosen: dict[str, Obj] = {}
    for service in services:
        address = dig(service, "spec", "clusterIP", default="")
        if not address or address == "None":
            continue
        place, name = namespace_of(service), name_of(service)
        if place == own:
            chosen[name] = service
        elif place == "default" and name == "kubernetes":
            chosen.setdefault(name, service)
    result: dict[str, str] = {}
    for name in sorted(chosen):
        _variables(name.upper().replace("-", "_"), chosen[name]["spec"], result)
    return result


def _variables(prefix: str, spec: Obj, result: dict[str, str]) -> None:
    address, ports = spec["clusterIP"], spec.get("ports") or []
    if not ports:
        return
    host = f"[{address}]" if ":" in address else address
    result[f"{prefix}_SERVICE_HOST"] = address
    result[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            result[f"{prefix}_PORT"] = url
        lead = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        result[lead] = url
        result[f"{lead}_PROTO"] = protocol.lower()
        result[f"{lead}_PORT"] = str(port["port"])
        result[f"{lead}_ADDR"] = address
