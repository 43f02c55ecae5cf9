"""What the runtime holds of one pod, as the pure parts see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from steersman.cri.messages import Container, ContainerState, NamespaceMode, Sandbox, SandboxState

NAME_LABEL = "io.kubernetes.pod.name"
NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
UID_LABEL = "io.kubernetes.pod.uid"
CONTAINER_LABEL = "io.kubernetes.container.name"
HASH_ANNOTATION = "io.kubernetes.container.hash"
RESTART_ANNOTATION = "io.kubernetes.container.restartCount"
MESSAGE_PATH_ANNOTATION = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY_ANNOTATION = "io.kubernetes.container.terminationMessagePolicy"
INIT_ANNOTATION = "steersman.dev/init-container"
MESSAGE_FILE_ANNOTATION = "steersman.dev/termination-message-file"
"""The host file that is mounted at terminationMessagePath: kept with the container so that a restarted kubelet finds it."""


@dataclass(frozen=True, slots=True)
class PodView:
    """Sandboxes and containers of one pod UID, newest first."""

    uid: str
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()

    @classmethod
    def of(cls, uid: str, sandboxes: Iterable[Sandbox], containers: Iterable[Container]) -> PodView:
        def age(item: Sandbox | Container) -> tuple[int, datetime]:
            return item.attempt, item.created_at

        return cls(uid, tuple(sorted(sandboxes, key=age, reverse=True)), tuple(sorted(containers, key=age, reverse=True)))

    @property
    def sandbox(self) -> Sandbox | None:
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ready_sandbox(self) -> Sandbox | None:
        newest = self.sandbox
        return newest if newest is not None and newest.state is SandboxState.READY else None

    def history(self, name: str) -> list[Container]:
        """All instances of a container, newest first."""
        return [item for item in self.containers if item.name == name]

    def newest(self, name: str) -> Container | None:
        return next((item for item in self.containers if item.name == name), None)

    def current(self, name: str) -> Container | None:
        """The newest instance, if it belongs to the newest sandbox: older ones died with theirs."""
        found = self.newest(name)
        return found if found is not None and self.sandbox is not None and found.sandbox_id == self.sandbox.id else None

    @property
    def running(self) -> list[Container]:
        return [item for item in self.containers if item.state is ContainerState.RUNNING]

    @property
    def may_run(self) -> bool:
        """Whether anything of the pod may still be running: containers of unknown state count."""
        if any(item.state in (ContainerState.RUNNING, ContainerState.UNKNOWN) for item in self.containers):
            return True
        return any(item.state is SandboxState.READY for item in self.sandboxes)


def has_network(sandbox: Sandbox) -> bool:
    """Whether its pod can talk: addresses, or the node's own network."""
    return sandbox.network is NamespaceMode.NODE or bool(sandbox.ips)
