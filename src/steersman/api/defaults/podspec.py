"""Defaults of pod specs, for pods and templates (upstream pkg/apis/core/v1/defaults.go).

What only pods get is in defaults/pod.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@kept(2048)
def pull_policy(image: str) -> str:
    """Always for `latest` and for images with neither tag nor digest, else IfNotPresent."""
    if not image or image != image.strip() or " " in image:
        return "IfNotPresent"
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        return "Always" if tag == "latest" else "IfNotPresent"
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def pod_spec(spec: Obj) -> None:
    """Set the defaults that pods and templates share."""
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    _mirror_account(spec)
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        items = spec.get(kind)
        if items:
            for item in items:
                _container(item, ephemeral=kind == "ephemeralContainers")
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _mirror_account(spec: Obj) -> None:
    """serviceAccount is the old name of serviceAccountName."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _container(container: Obj, *, ephemeral: bool) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for item in container.get("env") or ():
        source = item.get("valueFrom")
        if source:
            _value_from(source)
    if not ephemeral:
        for name in _PROBES:
            probe = container.get(name)
            if probe is not None:
                _probe(probe)
        lifecycle = container.get("lifecycle")
        if lifecycle:
            for name in ("postStart", "preStop"):
                if lifecycle.get(name):
                    _handler(lifecycle[name])


def _value_from(source: Obj) -> None:
    field = source.get("fieldRef")
    if field is not None and not field.get("apiVersion"):
        field["apiVersion"] = "v1"
    resource = source.get("resourceFieldRef")
    if resource is not None:
        resource.setdefault("divisor", "0")
    file = source.get("fileKeyRef")
    if file is not None:
        file.setdefault("optional", False)


def _probe(probe: Obj) -> None:
    if not probe.get("timeoutSeconds"):
        probe["timeoutSeconds"] = 1
    if not probe.get("periodSeconds"):
        probe["periodSeconds"] = 10
    if not probe.get("successThreshold"):
        probe["successThreshold"] = 1
    if not probe.get("failureThreshold"):
        probe["failureThreshold"] = 3
    _handler(probe)


def _handler(handler: Obj) -> None:
    http = handler.get("httpGet")
    if http is not None:
        if not http.get("path"):
            http["path"] = "/"
        if not http.get("scheme"):
            http["scheme"] = "HTTP"
    grpc = handler.get("grpc")
    if grpc is not None:
        grpc.setdefault("service", "")


def _volume(volume: Obj) -> None:
    if len(volume) < 2:
        volume["emptyDir"] = {}
        return
    for kind, source in volume.items():
        default = SOURCES.get(kind)
        if default is not None and source is not None:
            default(source)
        elif kind == "image" and source is not None and not source.get("pullPolicy"):
            source["pullPolicy"] = pull_policy(source.get("reference") or "")


def _fills(**values: object) -> Callable[[Obj], None]:
    """A default that sets missing fields."""

    def fill(source: Obj) -> None:
        for key, value in values.items():
            source.setdefault(key, value)

    return fill


def _downward_files(items: list[Obj]) -> None:
    for item in items:
        _value_from(item)


def _downward_api(source: Obj) -> None:
    source.setdefault("defaultMode", 420)
    _downward_files(source.get("items") or [])


def _projected(source: Obj) -> None:
    source.setdefault("defaultMode", 420)
    for item in source.get("sources") or ():
        if item.get("serviceAccountToken") is not None:
            item["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        if item.get("downwardAPI"):
            _downward_files(item["downwardAPI"].get("items") or [])


def _ephemeral(source: Obj) -> None:
    template = source.get("volumeClaimTemplate")
    if template is not None:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


PERSISTENT_SOURCES: Mapping[str, Callable[[Obj], None]] = {
    "hostPath": _fills(type=""),
    "iscsi": _fills(iscsiInterface="default"),
    "rbd": _fills(pool="rbd", user="admin", keyring="/etc/ceph/keyring"),
    "azureDisk": _fills(cachingMode="ReadWrite", fsType="ext4", readOnly=False, kind="Shared"),
    "scaleIO": _fills(storageMode="ThinProvisioned", fsType="xfs"),
}
"""Sources that persistent volumes have as well."""

SOURCES: Mapping[str, Callable[[Obj], None]] = {
    **PERSISTENT_SOURCES,
    "secret": _fills(defaultMode=420),
    "configMap": _fills(defaultMode=420),
    "downwardAPI": _downward_api,
    "projected": _projected,
    "ephemeral": _ephemeral,
}
