"""What a pod asks for when it names a CSI volume: made from its own `csi` volume, or from a PersistentVolume. Pure.

Source: upstream pkg/volume/csi (csi_mounter.go, csi_client.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steersman.kubelet.volumes.base import Request
from steersman.kubelet.volumes.csi.layout import EPHEMERAL, PERSISTENT, ephemeral_handle
from steersman.loop.volumes import mode
from steersman.machinery.meta import Obj, dig, name_of, namespace_of, uid_of

_SINGLE_WRITER, _MANY_READERS, _MANY_WRITERS, _ONE_POD, _ONE_NODE = 1, 3, 5, 6, 7


@dataclass(frozen=True, slots=True)
class Wanted:
    """`spec_name`: the persistent volume's name, or the pod's name of it. Secrets as (namespace, name), None for none."""

    driver: str
    handle: str
    spec_name: str
    lifecycle: str
    fs_type: str
    attributes: Mapping[str, str]
    read_only: bool
    access_modes: tuple[str, ...] = ()
    mount_options: tuple[str, ...] = ()
    stage_secret: tuple[str, str] | None = None
    publish_secret: tuple[str, str] | None = None
    expand_secret: tuple[str, str] | None = None
    block: bool = False
    """The device itself is wanted, and no filesystem."""

    @property
    def persistent(self) -> bool:
        return self.lifecycle == PERSISTENT

    def access_mode(self, multi_writer: bool) -> int:
        """The protocol's number. multi_writer: whether the driver knows the modes for single nodes and pods."""
        first = self.access_modes[0] if self.access_modes else "ReadWriteOnce"
        if first in ("ReadWriteOnce", "ReadWriteOncePod") and multi_writer:
            return _ONE_NODE if first == "ReadWriteOnce" else _ONE_POD
        return {"ReadOnlyMany": _MANY_READERS, "ReadWriteMany": _MANY_WRITERS}.get(first, _SINGLE_WRITER)


def inline(request: Request) -> Wanted:
    source, name = request.volume["csi"], str(request.volume["name"])
    ref = source.get("nodePublishSecretRef")
    return Wanted(
        driver=source["driver"],
        handle=ephemeral_handle(request.pod_uid, name),
        spec_name=name,
        lifecycle=EPHEMERAL,
        fs_type=source.get("fsType") or "",
        attributes=source.get("volumeAttributes") or {},
        read_only=bool(source.get("readOnly")),
        publish_secret=(namespace_of(request.pod), ref["name"]) if ref else None,
    )


def persistent(request: Request, volume: Obj) -> Wanted:
    spec = volume["spec"]
    source = spec["csi"]
    return Wanted(
        driver=source["driver"],
        handle=source["volumeHandle"],
        spec_name=name_of(volume),
        lifecycle=PERSISTENT,
        fs_type=source.get("fsType") or "",
        attributes=source.get("volumeAttributes") or {},
        read_only=bool(dig(request.volume, "persistentVolumeClaim", "readOnly", default=False)),
        access_modes=tuple(spec.get("accessModes") or ()),
        mount_options=tuple(spec.get("mountOptions") or ()),
        stage_secret=_ref(source, "nodeStageSecretRef"),
        publish_secret=_ref(source, "nodePublishSecretRef"),
        expand_secret=_ref(source, "nodeExpandSecretRef"),
        block=mode(volume) == "Block",
    )


def _ref(source: Obj, key: str) -> tuple[str, str] | None:
    found = source.get(key)
    return (found.get("namespace", ""), found.get("name", "")) if found else None


def pod_info(pod: Obj, lifecycle: str) -> dict[str, str]:
    """What drivers with podInfoOnMount are told."""
    lead = "csi.storage.k8s.io"
    return {
        f"{lead}/pod.name": name_of(pod),
        f"{lead}/pod.namespace": namespace_of(pod),
        f"{lead}/pod.uid": uid_of(pod),
        f"{lead}/serviceAccount.name": dig(pod, "spec", "serviceAccountName", default=""),
        f"{lead}/ephemeral": "true" if lifecycle == EPHEMERAL else "false",
    }


def gives_group(wanted: Wanted, csi_driver: Obj | None) -> bool:
    """Whether the kubelet gives the volume's files to the pod's fsGroup."""
    policy = dig(csi_driver or {}, "spec", "fsGroupPolicy", default="ReadWriteOnceWithFSType")
    if policy != "ReadWriteOnceWithFSType":
        return bool(policy == "File")
    if not wanted.persistent:
        return bool(wanted.fs_type)
    once = any(mode in ("ReadWriteOnce", "ReadWriteOncePod") for mode in wanted.access_modes)
    return bool(wanted.fs_type) and not wanted.read_only and once


def lifecycle_refusal(wanted: Wanted, csi_driver: Obj | None) -> str:
    """Why the driver does not take volumes of this kind, or ''. Without a CSIDriver: persistent ones only."""
    if csi_driver is None:
        known = "" if wanted.persistent else "no CSIDriver object"
    else:
        modes = dig(csi_driver, "spec", "volumeLifecycleModes", default=None) or [PERSISTENT]
        known = "" if wanted.lifecycle in modes else f"only supports {modes}"
    return f'volume mode "{wanted.lifecycle}" not supported by driver {wanted.driver} ({known})' if known else ""


def attach_required(csi_driver: Obj | None) -> bool:
    return bool(dig(csi_driver or {}, "spec", "attachRequired", default=True))
