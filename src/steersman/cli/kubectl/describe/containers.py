"""Containers of pods and pod templates: state, resources, probes, environment, mounts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from urllib.parse import quote

from steersman.cli.kubectl.describe.golang import quoted, rfc1123, verb_v
from steersman.cli.kubectl.describe.subject import boolean
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, name_of, namespace_of

_PROBES = (("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"), ("startupProbe", "Startup"))
_PROBE_FIGURES = (
    ("delay", "initialDelaySeconds", "s"), ("timeout", "timeoutSeconds", "s"), ("period", "periodSeconds", "s"),
    ("#success", "successThreshold", ""), ("#failure", "failureThreshold", ""),
)  # fmt: skip
_PATH_SAFE = "$&+,/:;=@~"


def write_containers(
    w: Writer, title: str, containers: Sequence[Obj], statuses: Sequence[Obj] = (), *, pod: Obj | None = None, indent: str = ""
) -> None:
    """`pod` is whose fields environment variables refer to; a template has none."""
    by_name = {status.get("name"): status for status in statuses}
    w.write(f"{indent}{title}:{'' if containers else ' <none>'}\n")
    for container in containers:
        status = by_name.get(container.get("name"))
        w.write(f"{' ' if indent else ''}{container.get('name', '')}:\n", 1)
        _basics(w, container, status)
        for title_of, key in (("Command", "command"), ("Args", "args")):
            _lines(w, title_of, container.get(key) or ())
        if status is not None:
            _state(w, status)
        write_resources(w, container.get("resources") or {}, 2)
        for key, title_of in _PROBES:
            if (probe := container.get(key)) is not None:
                w.field(title_of, probe_text(probe), 2)
        _environment_sources(w, container.get("envFrom") or ())
        _environment(w, container, pod)
        _mounts(w, container)


def _basics(w: Writer, container: Obj, status: Obj | None) -> None:
    if status is not None:
        w.field("Container ID", status.get("containerID", ""), 2)
    w.field("Image", container.get("image", ""), 2)
    if status is not None:
        w.field("Image ID", status.get("imageID", ""), 2)
    ports = container.get("ports") or ()
    for title, key in (("Port", "containerPort"), ("Host Port", "hostPort")):
        texts = [f"{port.get(key, 0)}/{port.get('protocol', '')}" for port in ports]
        w.field(title + ("s" if len(texts) > 1 else ""), ", ".join(texts) or "<none>", 2)
    profile = (container.get("securityContext") or {}).get("seccompProfile")
    if profile is not None:
        w.field("SeccompProfile", profile.get("type", ""), 2)
        if profile.get("type") == "Localhost":
            w.field("LocalhostProfile", profile.get("localhostProfile", ""), 3)


def _lines(w: Writer, title: str, texts: Sequence[str]) -> None:
    if texts:
        w.write(f"{title}:\n", 2)
    for text in texts:
        for line in text.split("\n"):
            w.write(f"{line}\n", 3)


def write_resources(w: Writer, resources: Obj, level: int) -> None:
    for title, key in (("Limits", "limits"), ("Requests", "requests")):
        amounts = resources.get(key) or {}
        if amounts:
            w.write(f"{title}:\n", level)
        for name in sorted(amounts):
            w.field(name, quantity.canonical(amounts[name]), level + 1)


def _state(w: Writer, status: Obj) -> None:
    _one_state(w, "State", status.get("state") or {})
    last = status.get("lastState") or {}
    if last.get("terminated") is not None:
        _one_state(w, "Last State", last)
    w.field("Ready", boolean(bool(status.get("ready"))), 2)
    w.field("Restart Count", status.get("restartCount", 0), 2)


def _one_state(w: Writer, title: str, state: Obj) -> None:
    if (running := state.get("running")) is not None:
        w.field(title, "Running", 2)
        w.field("Started", rfc1123(running.get("startedAt")), 3)
        return
    ended = state.get("terminated") if state.get("waiting") is None else None
    if ended is None:
        w.field(title, "Waiting", 2)
        if reason := (state.get("waiting") or {}).get("reason"):
            w.field("Reason", reason, 3)
        return
    w.field(title, "Terminated", 2)
    for label, key in (("Reason", "reason"), ("Message", "message")):
        if ended.get(key):
            w.field(label, ended[key], 3)
    w.field("Exit Code", ended.get("exitCode", 0), 3)
    if ended.get("signal", 0) > 0:
        w.field("Signal", ended["signal"], 3)
    w.field("Started", rfc1123(ended.get("startedAt")), 3)
    w.field("Finished", rfc1123(ended.get("finishedAt")), 3)


def probe_text(probe: Obj) -> str:
    """`http-get http://:80/ delay=0s timeout=1s …`."""
    figures = " ".join(f"{label}={probe.get(key, 0)}{unit}" for label, key, unit in _PROBE_FIGURES)
    if (run := probe.get("exec")) is not None:
        return f"exec {verb_v(run.get('command') or [])} {figures}"
    if (get := probe.get("httpGet")) is not None:
        return f"http-get {_url(get)} {figures}"
    if (tcp := probe.get("tcpSocket")) is not None:
        return f"tcp-socket {tcp.get('host', '')}:{tcp.get('port', 0)} {figures}"
    if (grpc := probe.get("grpc")) is not None:
        return f"grpc <pod>:{grpc.get('port', 0)} {grpc.get('service') or ''} {figures}"
    return f"unknown {figures}"


def _url(get: Obj) -> str:
    host, path = get.get("host", ""), get.get("path", "")
    host = f"[{host}]" if ":" in host else host
    path = quote(path, safe=_PATH_SAFE) if path != "*" else path
    slash = "/" if path and not path.startswith("/") else ""
    return f"{get.get('scheme', '').lower()}://{host}:{get.get('port', 0)}{slash}{path}"


def _environment_sources(w: Writer, sources: Sequence[Obj]) -> None:
    if sources:
        w.write("Environment Variables from:\n", 2)
    for source in sources:
        kind, found = "", {}
        for key, title in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if not kind and source.get(key) is not None:
                kind, found = title, source[key]
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        w.row(found.get("name", ""), f"{kind}{prefix}", f"Optional: {verb_v(bool(found.get('optional')))}", level=3)


def _environment(w: Writer, container: Obj, pod: Obj | None) -> None:
    variables = container.get("env") or ()
    w.write("Environment:\n" if variables else "Environment:\t<none>\n", 2)
    for variable in variables:
        name, source = variable.get("name", ""), variable.get("valueFrom")
        if source is None:
            first, *more = variable.get("value", "").split("\n")
            w.field(name, first, 3)
            for line in more:
                w.write(f"\t{line}\n", 3)
        elif (field := source.get("fieldRef")) is not None:
            place = f"{field.get('apiVersion', '')}:{field.get('fieldPath', '')}"
            w.field(name, f"{_pod_field(pod, field.get('fieldPath', ''))} ({place})", 3)
        elif (amount := source.get("resourceFieldRef")) is not None:
            w.field(name, _amount_text(container, amount), 3)
        else:
            _environment_key(w, name, source)


def _environment_key(w: Writer, name: str, source: Obj) -> None:
    for key, before, word in (("secretKeyRef", "in", "secret"), ("configMapKeyRef", "of", "config map")):
        if (found := source.get(key)) is not None:
            text = f"<set to the key '{found.get('key', '')}' {before} {word} '{found.get('name', '')}'>"
            w.row(f"{name}:", text, f"Optional: {verb_v(bool(found.get('optional')))}", level=3)
            return


def _pod_field(pod: Obj | None, path: str) -> str:
    """Upstream's client knows the values of these two fields only, and of none in a template."""
    if pod is None:
        return ""
    return {"metadata.name": name_of(pod), "metadata.namespace": namespace_of(pod)}.get(path, "")


def _amount_text(container: Obj, source: Obj) -> str:
    resource = source.get("resource", "")
    shown = _amount(container, resource, source.get("divisor") or "0")
    if shown == "0" and resource in ("limits.cpu", "limits.memory"):
        shown = "node allocatable"
    return f"{shown} ({resource})"


def _amount(container: Obj, resource: str, divisor_text: str) -> str:
    """The container's own limit or request in units of the divisor, rounded up; empty for what can't be referred to."""
    section, _, name = resource.partition(".")
    if section not in ("limits", "requests"):
        return ""
    if name not in ("cpu", "memory", "ephemeral-storage") and not name.startswith("hugepages-"):
        return ""
    amounts = (container.get("resources") or {}).get(section) or {}
    amount, divisor = quantity.parse(amounts.get(name, "0")), quantity.parse(divisor_text)
    if divisor.is_zero:
        divisor = quantity.Quantity.of(1)
    if name == "cpu":
        return str(math.ceil(amount.milli / divisor.milli))
    return str(math.ceil(amount.value / divisor.value))


def _mounts(w: Writer, container: Obj) -> None:
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    none = "" if mounts else "\t<none>"
    w.write(f"Mounts:{none}\n", 2)
    for mount in sorted(mounts, key=lambda mount: str(mount.get("mountPath", ""))):
        how = "ro" if mount.get("readOnly") else "rw"
        if mount.get("subPath"):
            how += f",path={quoted(mount['subPath'])}"
        w.write(f"{mount.get('mountPath', '')} from {mount.get('name', '')} ({how})\n", 3)
    if devices:
        # `<none>` is about the mounts: upstream says it here as well.
        w.write(f"Devices:{none}\n", 2)
    for device in sorted(devices, key=lambda device: str(device.get("devicePath", ""))):
        w.write(f"{device.get('devicePath', '')} from {device.get('name', '')}\n", 3)
