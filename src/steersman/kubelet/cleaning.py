"""What is taken away of a pod: dead containers while it lives, what it held when it has ended, what was kept when it is gone."""

from __future__ import annotations

import logging
import os
import shutil

from steersman.cri.interface import NotThere
from steersman.cri.messages import ContainerState
from steersman.kubelet import resources
from steersman.kubelet.parts import Parts
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj, name_of, namespace_of

log = logging.getLogger(__name__)


async def collect(parts: Parts, view: PodView) -> None:
    """Keep one dead instance per container and the newest sandbox."""
    for name in {item.name for item in view.containers}:
        dead = [item for item in view.history(name) if item.state is ContainerState.EXITED]
        for item in dead[1:]:
            await parts.runtime.remove_container(item.id)
            _remove_file(item.log_path)
    for sandbox in view.sandboxes[1:]:
        if not any(item.sandbox_id == sandbox.id for item in view.containers):
            await parts.runtime.remove_pod_sandbox(sandbox.id)


async def release(parts: Parts, uid: str, pod: Obj) -> None:
    """The pod has ended: give back volumes, cgroup, caches. Raises OSError."""
    await parts.volumes.tear_down(uid)
    parts.cgroups.remove(resources.cgroup_parent(pod, parts.config.cgroup_root))
    parts.user_namespaces.release(uid)
    parts.cpus.release(uid)
    parts.objects.release(uid)
    parts.tokens.release(uid)
    parts.images.forget(uid)
    parts.backoff.forget(f"{uid}/")


async def remove(parts: Parts, uid: str, pod: Obj, view: PodView) -> None:
    """The pod is gone from the API: remove what was kept for reading. Raises RuntimeFault."""
    for sandbox in view.sandboxes:
        try:
            await parts.runtime.remove_pod_sandbox(sandbox.id)
        except NotThere:
            continue
    for container in view.containers:
        parts.probes.results.forget(container.id)
    parts.probes.forget(uid)
    # Again: `release` leaves what a half-made sandbox was still in, and of a pod the API no longer has it knows no QoS class.
    parts.cgroups.remove_pod(uid)
    logs = parts.config.pod_log_dir(namespace_of(pod), name_of(pod), uid)
    shutil.rmtree(logs, ignore_errors=True)
    for item in view.containers:
        link = parts.config.container_log_link(namespace_of(pod), name_of(pod), item.name, item.id)
        if link is not None:
            _remove_file(str(link))
    # Last: after a kill it is what says that the rest is to be swept.
    parts.volumes.remove_pod_dir(uid)


def _remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        log.debug("file was gone path=%s", path)
