"""Where a pod's containers are to run: its sandbox, made if need be, and all else that starts need.

Part of one pod's turn (sync.py), which waits before the next attempt when there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from steersman.api.resources import RUNTIME_CLASSES, SECRETS
from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import SandboxConfig
from steersman.kubelet import naming, pods
from steersman.kubelet.cleaning import collect
from steersman.kubelet.parts import Parts
from steersman.kubelet.sandboxes import Place, sandbox_config
from steersman.kubelet.view import PodView
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, namespace_of

log = logging.getLogger(__name__)


class SyncFailed(Exception):
    """The turn could not be finished; events have been recorded. retry_s None: the usual pause after errors."""

    def __init__(self, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class NoSandbox(SyncFailed):
    """The runtime, or the network, could not make one."""


class Placer:
    """For one pod."""

    def __init__(self, parts: Parts, uid: str) -> None:
        self._parts, self._uid = parts, uid

    async def place(self, pod: Obj, view: PodView, attempt: int | None, volumes: Mapping[str, Path]) -> Place:
        """attempt: of the sandbox to make; None: the newest is good. Raises SyncFailed, NoSandbox."""
        parts = self._parts
        config = self._sandbox_config(pod, attempt if attempt is not None else view.sandboxes[0].attempt)
        if attempt is not None:
            try:
                await parts.stopper.stop_sandboxes(view)
                await collect(parts, view)
            except RuntimeFault as error:
                # What failed attempts left may be as hard to remove; that must not keep the next one from coming.
                log.debug("earlier sandboxes stay pod=%s error=%s", self._uid, error)
            counts = parts.node.counts
            of_pods = ("pods", "user_namespaced_pods") if config.id_mappings else ("pods",)
            for what in of_pods:
                counts.count(f"kubelet_started_{what}_total")
            try:
                config = replace(config, runtime_handler=await self._runtime_handler(pod))
                sandbox_id = await parts.runtime.run_pod_sandbox(config)
                ips: Sequence[str] = (await parts.runtime.pod_sandbox_status(sandbox_id)).ips
            except (RuntimeFault, StatusError, ConnectionError) as error:
                for what in of_pods:
                    counts.count(f"kubelet_started_{what}_errors_total")
                text = f"Failed to create pod sandbox: {error}"
                parts.recorder.event(pod, "Warning", "FailedCreatePodSandBox", text)
                raise NoSandbox(text) from None
        else:
            sandbox_id, ips = view.sandboxes[0].id, view.sandboxes[0].ips
        if pods.is_host_network(pod):
            ips = parts.node.host_ips
        return Place(pod, view, sandbox_id, config, ips, volumes, await self._pull_secrets(pod))

    def _sandbox_config(self, pod: Obj, attempt: int) -> SandboxConfig:
        parts = self._parts
        dns, warnings = naming.dns_config(pod, parts.node.resolv_conf, parts.config.cluster_dns, parts.config.cluster_domain)
        for reason, message in warnings:
            parts.recorder.event(pod, "Warning", reason, message)
        try:
            mappings = parts.user_namespaces.of(pod, supported=parts.runtime.user_namespaces())
            return sandbox_config(pod, attempt, parts.config, dns, mappings)
        except (ValueError, OSError) as error:
            parts.recorder.event(pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            raise SyncFailed(str(error)) from None

    async def _runtime_handler(self, pod: Obj) -> str:
        """Of the pod's RuntimeClass. Raises NotFound, StatusError, ConnectionError."""
        name = dig(pod, "spec", "runtimeClassName", default="")
        return str((await self._parts.objects.read(RUNTIME_CLASSES, "", name))["handler"]) if name else ""

    async def _pull_secrets(self, pod: Obj) -> list[Obj]:
        found, missing = [], []
        for ref in dig(pod, "spec", "imagePullSecrets", default=None) or ():
            try:
                secret = await self._parts.objects.get(SECRETS, namespace_of(pod), ref["name"], self._uid)
            except (StatusError, ConnectionError):
                secret = None
            if secret is None:
                missing.append(ref["name"])
            else:
                found.append(secret)
        if missing:
            text = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
            text += "attempting to pull the image may not succeed."
            self._parts.recorder.event(pod, "Warning", "FailedToRetrieveImagePullSecret", text)
        return found
