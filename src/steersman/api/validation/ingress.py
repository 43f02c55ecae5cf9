"""Validation of ingresses and ingress classes."""

from __future__ import annotations

from steersman.api.validation.common import Errors, complain, domain_prefixed_path, immutable, label, needs, one_of, subdomain
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required, too_long
from steersman.machinery.meta import Obj, annotations_of

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_ABSOLUTE, _NO_IP = "must be an absolute path", "must be a DNS name, not an IP address"
_SCOPES = ("Cluster", "Namespace")
_CONTROLLER_LIMIT = 250


def validate_ingress(obj: Obj) -> list[FieldError]:
    errors = _ingress(obj)
    annotation, name = annotations_of(obj).get(CLASS_ANNOTATION), (obj.get("spec") or {}).get("ingressClassName")
    if annotation is not None and name is not None and annotation != name:
        text = "must match `ingressClassName` when both are specified"
        errors.append(invalid(f"annotations.{CLASS_ANNOTATION}", annotation, text))
    return errors


def validate_ingress_update(new: Obj, old: Obj) -> list[FieldError]:
    return _ingress(new)


def _ingress(obj: Obj) -> Errors:
    errors: Errors = []
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules"), spec.get("defaultBackend")
    if not rules and backend is None:
        errors.append(invalid("spec", rules, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        _backend(errors, "spec.defaultBackend", backend)
    for index, rule in enumerate(rules or ()):
        _rule(errors, f"spec.rules[{index}]", rule)
    for index, entry in enumerate(spec.get("tls") or ()):
        inner = f"spec.tls[{index}]"
        for position, host in enumerate(entry.get("hosts") or ()):
            _host(errors, f"{inner}.hosts[{position}]", host)
        if entry.get("secretName"):
            subdomain(errors, f"{inner}.secretName", entry["secretName"])
    if spec.get("ingressClassName") is not None:
        subdomain(errors, "spec.ingressClassName", spec["ingressClassName"])
    return errors


def _host(errors: Errors, path: str, host: str) -> None:
    check = names.wildcard_subdomain if "*" in host else names.dns1123_subdomain
    complain(errors, path, host, check(host))


def _rule(errors: Errors, path: str, rule: Obj) -> None:
    host = rule.get("host") or ""
    if host:
        if not names.ip(host):
            errors.append(invalid(f"{path}.host", host, _NO_IP))
        _host(errors, f"{path}.host", host)
    if rule.get("http") is None:
        return
    paths = rule["http"].get("paths") or ()
    needs(errors, f"{path}.http.paths", paths)
    for index, item in enumerate(paths):
        _path(errors, f"{path}.http.paths[{index}]", item)


def _path(errors: Errors, path: str, item: Obj) -> None:
    kind, value = item.get("pathType"), item.get("path") or ""
    inner = f"{path}.path"
    if kind is None:
        errors.append(required(f"{path}.pathType", "pathType must be specified"))
        return
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            errors.append(invalid(inner, value, _ABSOLUTE))
        for bad in _BAD_IN_PATHS:
            if bad in value:
                errors.append(invalid(inner, value, f"must not contain '{bad}'"))
        for bad in _BAD_ENDS:
            if value.endswith(bad):
                errors.append(invalid(inner, value, f"cannot end with '{bad}'"))
    elif kind != "ImplementationSpecific":
        errors.append(not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif value and not value.startswith("/"):
        errors.append(invalid(inner, value, _ABSOLUTE))
    _backend(errors, f"{path}.backend", item.get("backend") or {})


def _backend(errors: Errors, path: str, backend: Obj) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.append(invalid(path, "", "cannot set both resource and service backends"))
    elif resource is not None:
        _reference(errors, f"{path}.resource", resource)
    elif service is None:
        errors.append(invalid(path, "", "resource or service backend is required"))
    else:
        if needs(errors, f"{path}.service.name", service.get("name")):
            label(errors, f"{path}.service.name", service["name"])
        _service_port(errors, path, service.get("port") or {})


def _service_port(errors: Errors, path: str, port: Obj) -> None:
    name, number = port.get("name"), port.get("number")
    if name and number:
        errors.append(invalid(path, "", "cannot set both port name & port number"))
    elif name:
        complain(errors, f"{path}.service.port.name", name, names.port_name(name))
    elif number:
        complain(errors, f"{path}.service.port.number", number, names.port_number(number))
    else:
        errors.append(required(path, "port name or number is required"))


def _reference(errors: Errors, path: str, ref: Obj) -> None:
    """A TypedLocalObjectReference, or an ingress class's parameters."""
    if ref.get("apiGroup") is not None:
        subdomain(errors, f"{path}.apiGroup", ref["apiGroup"])
    for key in ("kind", "name"):
        if needs(errors, f"{path}.{key}", ref.get(key)):
            complain(errors, f"{path}.{key}", ref[key], names.path_segment(ref[key]))


def validate_ingress_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    balancer = (new.get("status") or {}).get("loadBalancer") or {}
    for index, item in enumerate(balancer.get("ingress") or ()):
        path = f"status.loadBalancer.ingress[{index}]"
        if item.get("ip"):
            complain(errors, f"{path}.ip", item["ip"], names.ip(item["ip"]))
        host = item.get("hostname")
        if host:
            subdomain(errors, f"{path}.hostname", host)
            if not names.ip(host):
                errors.append(invalid(f"{path}.hostname", host, _NO_IP))
    return errors


def validate_ingress_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    if len(controller.encode()) > _CONTROLLER_LIMIT:
        errors.append(too_long("spec.controller", _CONTROLLER_LIMIT))
    domain_prefixed_path(errors, "spec.controller", controller)
    if spec.get("parameters") is not None:
        _parameters(errors, "spec.parameters", spec["parameters"])
    return errors


def _parameters(errors: Errors, path: str, ref: Obj) -> None:
    _reference(errors, path, ref)
    scope, namespace = ref.get("scope"), ref.get("namespace")
    one_of(errors, f"{path}.scope", scope, _SCOPES, optional=False)
    if scope == "Namespace":
        if namespace is None:
            errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
        else:
            label(errors, f"{path}.namespace", namespace)
    elif scope == "Cluster" and namespace is not None:
        errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))


def validate_ingress_class_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_ingress_class(new)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    immutable(errors, "spec.controller", spec.get("controller"), stored.get("controller"))
    return errors


def ingress_warnings(new: Obj, old: Obj | None) -> list[str]:
    if old is not None or CLASS_ANNOTATION not in annotations_of(new) or (new.get("spec") or {}).get("ingressClassName"):
        return []
    return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
