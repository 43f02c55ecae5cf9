"""Validation of probes and lifecycle handlers."""

from __future__ import annotations

from steersman.api.validation.common import Errors, complain, needs, not_negatives, one_of, port, port_or_name
from steersman.machinery import names
from steersman.machinery.fielderrors import forbidden, invalid, required
from steersman.machinery.meta import Obj

_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def handler(errors: Errors, path: str, value: Obj, grace_seconds: int) -> None:
    """Exactly one of exec, httpGet, tcpSocket, grpc, sleep. `grace_seconds` bounds sleep."""
    found = False
    for kind in _HANDLERS:
        action = value.get(kind)
        if action is None:
            continue
        inner = f"{path}.{kind}"
        if found:
            errors.append(forbidden(inner, "may not specify more than 1 handler type"))
            continue
        found = True
        _action(errors, inner, kind, action, grace_seconds)
    if not found:
        errors.append(required(path, "must specify a handler type"))


def _action(errors: Errors, path: str, kind: str, action: Obj, grace_seconds: int) -> None:
    if kind == "httpGet":
        needs(errors, f"{path}.path", action.get("path"))
        port_or_name(errors, f"{path}.port", action.get("port", 0))
        one_of(errors, f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
        for header in action.get("httpHeaders") or ():
            name = header.get("name", "")
            complain(errors, f"{path}.httpHeaders", name, names.http_header_name(name))
    elif kind == "exec":
        needs(errors, f"{path}.command", action.get("command"))
    elif kind == "tcpSocket":
        port_or_name(errors, f"{path}.port", action.get("port", 0))
    elif kind == "grpc":
        port(errors, f"{path}.port", action.get("port", 0))
    elif not 0 <= action.get("seconds", 0) < max(grace_seconds, 1):
        text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
        errors.append(invalid(path, action.get("seconds", 0), text))


def probe(errors: Errors, path: str, value: Obj, grace_seconds: int) -> None:
    handler(errors, path, value, grace_seconds)
    not_negatives(errors, path, value, _NUMBERS)
    grace = value.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))


def probes(errors: Errors, path: str, container: Obj, grace_seconds: int) -> None:
    """The three probes of a container."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        value = container.get(name)
        if value is None:
            continue
        inner = f"{path}.{name}"
        probe(errors, inner, value, grace_seconds)
        if name == "readinessProbe":
            grace = value.get("terminationGracePeriodSeconds")
            if grace is not None:
                errors.append(invalid(f"{inner}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"))
        elif value.get("successThreshold", 1) != 1:
            errors.append(invalid(f"{inner}.successThreshold", value["successThreshold"], "must be 1"))


def lifecycle(errors: Errors, path: str, value: Obj, grace_seconds: int) -> None:
    for name in ("postStart", "preStop"):
        if value.get(name) is not None:
            handler(errors, f"{path}.{name}", value[name], grace_seconds)
