"""Starts containers: image, configuration, create, start, postStart hook, with upstream's events and reasons.

sync.py says which; what they have mounted is mounting.py's, stopping them terminating.py's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import ContainerConfig, Image
from steersman.kubelet import env, envfile, mounting, pods, resources, security
from steersman.kubelet.attempts import counted
from steersman.kubelet.cgroups import is_unified
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.cpumanager.manager import CPUManager
from steersman.kubelet.decide import Start
from steersman.kubelet.expansion import expand
from steersman.kubelet.httpcheck import Reach
from steersman.kubelet.images import ImageManager
from steersman.kubelet.kit import NodeFacts, Recorder, ServiceLister, field_path, seccomp_dir
from steersman.kubelet.lifecycle import HookFailed, run_hook
from steersman.kubelet.objects import ObjectCache
from steersman.kubelet.sandboxes import Place, pod_labels
from steersman.kubelet.view import (
    CONTAINER_LABEL,
    HASH_ANNOTATION,
    INIT_ANNOTATION,
    MESSAGE_FILE_ANNOTATION,
    MESSAGE_PATH_ANNOTATION,
    MESSAGE_POLICY_ANNOTATION,
    RESTART_ANNOTATION,
)  # fmt: skip
from steersman.kubelet.volumes.base import VolumeFault
from steersman.kubelet.volumes.image import mounted_images
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

_COUNTED = {"init": "init_container", "regular": "container", "ephemeral": "ephemeral_container"}
"""What metrics call kinds of containers."""


@dataclass(slots=True)
class ContainerStarter:
    config: KubeletConfig
    runtime: Runtime
    images: ImageManager
    objects: ObjectCache
    recorder: Recorder
    clock: Clock
    node: NodeFacts
    services: ServiceLister
    reach: Reach
    cpus: CPUManager

    async def start(self, place: Place, start: Start) -> None:
        """Make and start one container. Raises RuntimeFault whose reason is the container's waiting reason."""
        pod, spec = place.pod, start.spec
        try:
            sources = mounted_images(pod, spec)
            volumes = {name: await self.images.ensure_volume(pod, each, place.pull_secrets) for name, each in sources.items()}
            image = await self.images.ensure(pod, spec, place.pull_secrets)
        except RuntimeFault as error:
            where = field_path(pod, spec["name"])
            self.recorder.event(pod, "Warning", "Failed", f"Error: {error.reason}", field_path=where)
            raise
        made = await self._config(place, start, image, volumes)
        self.node.counts.count("kubelet_started_containers_total", container_type=_COUNTED[start.kind])
        try:
            _check_text(made)
            container_id = await self.runtime.create_container(place.sandbox_id, made, place.sandbox)
        except RuntimeFault as error:
            raise self._failed(pod, start, error, "CreateContainerError") from None
        where = field_path(pod, spec["name"])
        self.recorder.event(pod, "Normal", "Created", "Container created", field_path=where)
        try:
            await self.runtime.start_container(container_id)
        except RuntimeFault as error:
            raise self._failed(pod, start, error, "RunContainerError") from None
        self.recorder.event(pod, "Normal", "Started", "Container started", field_path=where)
        self._link_log(pod, spec["name"], container_id, place.sandbox.log_directory, made.log_path)
        hook = dig(spec, "lifecycle", "postStart", default=None)
        if hook:
            await self._post_start(place, spec, hook, container_id)

    def _failed(self, pod: Obj, start: Start, error: RuntimeFault, reason: str) -> RuntimeFault:
        where = field_path(pod, start.spec["name"])
        self.recorder.event(pod, "Warning", "Failed", f"Error: {error}", field_path=where)
        reason = error.reason if error.reason.startswith("CreateContainer") else reason
        labels = {"container_type": _COUNTED[start.kind], "code": reason}
        self.node.counts.count("kubelet_started_containers_errors_total", **labels)
        return RuntimeFault(str(error), reason=reason)

    async def _post_start(self, place: Place, spec: Obj, hook: Obj, container_id: str) -> None:
        ip = place.pod_ips[0] if place.pod_ips else ""
        try:
            await run_hook(self.runtime, self.reach, self.clock, self.recorder, place.pod, spec, hook, container_id, ip)
        except HookFailed as error:
            where = field_path(place.pod, spec["name"])
            self.recorder.event(place.pod, "Warning", "FailedPostStartHook", "PostStartHook failed", field_path=where)
            grace_s = float(dig(place.pod, "spec", "terminationGracePeriodSeconds", default=30))
            await self.runtime.stop_container(container_id, max(grace_s, 2))
            raise RuntimeFault(str(error), reason="PostStartHookError") from None

    async def _config(self, place: Place, start: Start, image: Image, volumes: Mapping[str, Image]) -> ContainerConfig:
        """Everything the runtime must know. Raises RuntimeFault(CreateContainerConfigError)."""
        pod, spec = place.pod, start.spec
        try:
            start = counted(pod, start, place.sandbox.log_directory)
            security.verify_non_root(pod, spec, image)
            variables = await self._environment(place, spec)
            mounts, message_file = mounting.mounts(self.config, place, spec, variables, volumes)
            devices = mounting.devices(place, spec)
        except RuntimeFault as error:
            raise self._failed(pod, start, error, "CreateContainerConfigError") from None
        except (StatusError, ConnectionError, OSError, VolumeFault) as error:
            raise self._failed(pod, start, RuntimeFault(str(error)), "CreateContainerConfigError") from None
        target = spec.get("targetContainerName")
        target_id = found.id if target and (found := place.view.newest(target)) is not None else ""
        policy = spec.get("terminationMessagePolicy") or "File"
        annotations = {
            HASH_ANNOTATION: pods.container_hash(spec),
            RESTART_ANNOTATION: str(start.attempt),
            MESSAGE_PATH_ANNOTATION: spec.get("terminationMessagePath") or "/dev/termination-log",
            MESSAGE_POLICY_ANNOTATION: policy,
            MESSAGE_FILE_ANNOTATION: message_file,
        }
        if any(spec is item and not pods.is_sidecar(item) for item in pods.init_containers(pod)):
            annotations[INIT_ANNOTATION] = "true"
        log_path = f"{spec['name']}/{start.attempt}.log"
        os.makedirs(os.path.join(place.sandbox.log_directory, spec["name"]), 0o755, exist_ok=True)
        return ContainerConfig(
            name=spec["name"],
            image=image.id,
            attempt=start.attempt,
            image_user_spec=spec.get("image") or "",
            command=tuple(expand(word, variables) for word in spec.get("command") or ()),
            args=tuple(expand(word, variables) for word in spec.get("args") or ()),
            working_dir=spec.get("workingDir") or "",
            envs=tuple(variables.items()),
            mounts=mounts,
            devices=devices,
            labels={**pod_labels(pod), CONTAINER_LABEL: spec["name"]},
            annotations=annotations,
            log_path=log_path,
            stdin=bool(spec.get("stdin")),
            stdin_once=bool(spec.get("stdinOnce")),
            tty=bool(spec.get("tty")),
            resources=self.cpus.confine(
                pod,
                spec["name"],
                replace(
                    resources.limited(resources.container_resources(pod, spec, self.node.memory_capacity), self.config),
                    unified=self._unified(),
                    huge_pages=self._huge_pages(pod, spec),
                ),
            ),
            security=security.container_security(
                pod, spec, seccomp_dir(self.config), target_id, default_seccomp=self.config.seccomp_default
            ),
            stop_signal=dig(spec, "lifecycle", "stopSignal", default=""),
        )

    def _unified(self) -> tuple[tuple[str, str], ...]:
        """On cgroup version 2 the kernel kills all of a container, when it must, unless the node is told otherwise; and nothing
        of a container is swapped out, also of one without a memory limit (upstream's NoSwap)."""
        mount = self.config.cgroup_mount
        if not is_unified(mount):
            return ()
        whole = () if self.config.configuration.get("singleProcessOOMKill") else (("memory.oom.group", "1"),)
        swaps = (mount / self.config.cgroup_root.strip("/") / "memory.swap.max").exists()
        return (*whole, ("memory.swap.max", "0")) if swaps else whole

    def _huge_pages(self, pod: Obj, spec: Obj) -> tuple[tuple[str, int], ...]:
        """A pod's own limits are shared by all containers that have none."""
        listed = {**(dig(pod, "spec", "resources", "limits") or {}), **(dig(spec, "resources", "limits") or {})}
        return resources.huge_pages(resources.amounts(listed), self.node.capacity)

    async def _environment(self, place: Place, spec: Obj) -> dict[str, str]:
        """Read what the environment refers to, then compute it."""
        pod = place.pod
        maps: dict[str, Obj | None] = {}
        secrets: dict[str, Obj | None] = {}
        refs = [(source.get("configMapRef"), source.get("secretRef")) for source in spec.get("envFrom") or ()]
        for variable in spec.get("env") or ():
            source = variable.get("valueFrom") or {}
            refs.append((source.get("configMapKeyRef"), source.get("secretKeyRef")))
        for map_ref, secret_ref in refs:
            for ref, into, resource in ((map_ref, maps, CONFIG_MAPS), (secret_ref, secrets, SECRETS)):
                if ref and ref["name"] not in into:
                    into[ref["name"]] = await self.objects.get(resource, namespace_of(pod), ref["name"], uid_of(pod))
        services = self.services()
        if services is None and pods.is_static(place.pod):
            # The API server may itself be a static pod: it can't wait for its Services.
            services = ()
        facts, files = self.node, envfile.reader(place.volumes)
        sources = env.Sources(maps.get, secrets.get, services, facts.allocatable, facts.host_ips, place.pod_ips, files)
        return env.environment(pod, spec, sources)

    def _link_log(self, pod: Obj, container: str, container_id: str, log_directory: str, log_path: str) -> None:
        link = self.config.container_log_link(namespace_of(pod), name_of(pod), container, container_id)
        if link is None:
            return
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.join(log_directory, log_path))
        except OSError as error:
            log.warning("log link not made pod=%s error=%s", pods.full_name(pod), error)


def _check_text(made: ContainerConfig) -> None:
    """What comes from a Secret may be any bytes; what goes to a runtime is UTF-8, and to a program without zeros in it.

    Raises RuntimeFault, which tells names and never values.
    """
    words = [(f"environment variable {name}", value) for name, value in made.envs]
    words += [("an argument of the command", value) for value in (*made.command, *made.args)]
    for name, value in words:
        if "\0" in value:
            raise RuntimeFault(f"{name} contains a zero byte")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RuntimeFault(f"{name} contains invalid UTF-8") from None
