"""What a container has of files that are not its image's: volumes, /etc/hosts, a file for its last words; and block devices.

Volumes are set up before (volumes/manager.py); here single mounts of a container are made of them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Device, Image, Mount, Propagation
from steersman.kubelet import naming, pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.expansion import expand
from steersman.kubelet.sandboxes import Place
from steersman.kubelet.volumes import subpath
from steersman.kubelet.volumes.base import VolumeFault
from steersman.machinery.meta import Obj, uid_of

log = logging.getLogger(__name__)

_PROPAGATION = {
    "HostToContainer": Propagation.HOST_TO_CONTAINER,
    "Bidirectional": Propagation.BIDIRECTIONAL,
}


def mounts(
    config: KubeletConfig, place: Place, spec: Obj, variables: Mapping[str, str], images: Mapping[str, Image]
) -> tuple[tuple[Mount, ...], str]:
    """(mounts in order, host file of the termination message). `images`: of the volumes that are one.

    Raises RuntimeFault, OSError.
    """
    pod, made = place.pod, []
    pod_dir = config.pod_dir(uid_of(pod))
    protected = pods.read_only_volumes(pod)
    for index, wanted in enumerate(spec.get("volumeMounts") or ()):
        path = place.volumes.get(wanted["name"])
        if path is None:
            raise RuntimeFault(f'cannot find volume "{wanted["name"]}" to mount into container "{spec["name"]}"')
        below = _sub_path(wanted, variables)
        if image := images.get(wanted["name"]):
            made.append(Mount(wanted["mountPath"], "", readonly=True, image=image.id, image_sub_path=below))
            continue
        if below:
            target = pod_dir / "volume-subpaths" / wanted["name"] / spec["name"] / str(index)
            try:
                path = subpath.bind(path, below, target, writable=wanted["name"] not in protected)
            except VolumeFault as error:
                log.warning("subPath failed pod=%s error=%s", pods.full_name(pod), error)
                text = f'failed to prepare subPath for volumeMount "{wanted["name"]}" of container "{spec["name"]}"'
                raise RuntimeFault(text) from None
        readonly = bool(wanted.get("readOnly")) or wanted["name"] in protected
        recursive = readonly and wanted.get("recursiveReadOnly") in ("Enabled", "IfPossible")
        propagation = _PROPAGATION.get(wanted.get("mountPropagation") or "", Propagation.PRIVATE)
        made.append(Mount(wanted["mountPath"], str(path), readonly, propagation, recursive))
    taken = {mount.container_path.rstrip("/") for mount in made}
    if "/etc/hosts" not in taken:
        made.append(Mount("/etc/hosts", str(_hosts(config, pod, place.pod_ips, pod_dir))))
    message_path = spec.get("terminationMessagePath") or "/dev/termination-log"
    message_file = _message_file(pod_dir, spec["name"])
    made.append(Mount(message_path, str(message_file)))
    return tuple(made), str(message_file)


def _hosts(config: KubeletConfig, pod: Obj, pod_ips: Sequence[str], pod_dir: Path) -> Path:
    node_hosts = Path("/etc/hosts").read_text() if pods.is_host_network(pod) else ""
    path = pod_dir / "etc-hosts"
    text = naming.hosts_file(pod, pod_ips, config.cluster_domain, node_hosts)
    # Running containers have it mounted: written in place, and only when it differs.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(0o644)
    return path


def _message_file(pod_dir: Path, container: str) -> Path:
    path = pod_dir / "containers" / container / uuid.uuid4().hex[:8]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o666)
    return path


def devices(place: Place, spec: Obj) -> tuple[Device, ...]:
    """Block volumes. Raises RuntimeFault."""
    protected, made = pods.read_only_volumes(place.pod), []
    for wanted in spec.get("volumeDevices") or ():
        path = place.volumes.get(wanted["name"])
        if path is None:
            raise RuntimeFault(f'cannot find volume "{wanted["name"]}" to pass into container "{spec["name"]}"')
        made.append(Device(wanted["devicePath"], str(path), "r" if wanted["name"] in protected else "mrw"))
    return tuple(made)


def _sub_path(mount: Obj, variables: Mapping[str, str]) -> str:
    """The subPath, expanded. Raises RuntimeFault when a name in subPathExpr is unknown, or the path is not one inside."""
    text = str(mount.get("subPath") or "")
    if mount.get("subPathExpr"):
        missing: list[str] = []
        text = expand(mount["subPathExpr"], variables, missing)
        if missing:
            raise RuntimeFault(f"missing value for {', '.join(missing)}")
    if text.startswith("/"):
        raise RuntimeFault(f"error SubPath `{text}` must not be an absolute path")
    if ".." in text.split("/"):
        raise RuntimeFault(f"unable to provision SubPath `{text}`: must not contain '..'")
    return text
