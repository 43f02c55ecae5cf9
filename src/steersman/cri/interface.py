"""What the kubelet asks of a container runtime: CRI v1's calls, in process, with streams instead of URLs.

Implementations: native/ (crun, conmon, overlayfs), remote/ (containerd, CRI-O over gRPC), simulated/. One contract suite.
Source: cri-api runtime/v1 api.proto. Times are aware datetimes, durations seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ExecResult,
    Image,
    RegistryAuth,
    Resources,
    RuntimeEvent,
    Sandbox,
    SandboxConfig,
    Usage,
)


class RuntimeFault(Exception):
    """A runtime call failed; the message goes into events. `reason` may name a kubelet reason (ErrImagePull ...)."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NotThere(RuntimeFault):
    """No such sandbox, container or image."""


class Terminal(Protocol):
    """A live process or container: exec or attach. Reading None means that stream has ended."""

    async def read_stdout(self) -> bytes | None: ...
    async def read_stderr(self) -> bytes | None:
        """Always None with a tty."""

    async def write_stdin(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...
    async def wait(self) -> int:
        """The exit code (attach: of the container, or 0 when detached)."""

    async def close(self) -> None:
        """Let go; an exec'd process is killed, an attached container is not."""


class Tunnel(Protocol):
    """A byte stream into a sandbox's network namespace."""

    async def read(self) -> bytes:
        """b'' at the end."""

    async def write(self, data: bytes) -> None: ...
    async def close_write(self) -> None: ...
    async def close(self) -> None: ...


class SandboxNetwork(Protocol):
    """How a sandbox gets its network: made by network/, handed to the native runtime by cluster/."""

    async def attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> tuple[str, ...]:
        """Wire the namespace up; the pod's addresses, primary first. Idempotent per sandbox_id. Raises OSError."""

    async def detach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> None:
        """Undo attach and release addresses; no error if nothing is there. Raises OSError."""

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        """The range this node's pods get addresses from."""

    async def keep_only(self, sandbox_ids: Collection[str]) -> None:
        """Release what sandboxes that are no more still hold. Raises OSError."""

    async def ready(self) -> str:
        """Empty if pods can be attached, else one sentence saying why not."""


class Runtime(Protocol):
    """The RuntimeService of CRI. Calls raise RuntimeFault. All are safe to repeat."""

    async def version(self) -> tuple[str, str]:
        """(name, version): `steersman`, `0.1.0`. Used in containerID and node info."""

    async def status(self) -> tuple[str, str]:
        """(why the runtime is not ready or '', why the network is not ready or '')."""

    def user_namespaces(self) -> bool:
        """Whether pods can have one of their own; what `status` found last."""

    def supplemental_groups_policy(self) -> bool:
        """Whether it knows of Security.strict_groups; what `status` found last."""

    async def update_runtime_config(self, pod_cidr: str) -> None:
        """The node's pod address range, once it is known."""

    async def run_pod_sandbox(self, config: SandboxConfig) -> str: ...
    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in it and release its network. Idempotent."""

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop, then remove it and its containers. Idempotent."""

    async def pod_sandbox_status(self, sandbox_id: str) -> Sandbox: ...
    async def list_pod_sandboxes(self, *, pod_uid: str = "") -> list[Sandbox]: ...
    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str: ...
    async def start_container(self, container_id: str) -> None: ...
    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        """Stop signal, then SIGKILL after timeout_s. Returns when it is dead. Idempotent."""

    async def remove_container(self, container_id: str) -> None:
        """Kill if running, remove with its snapshot; the log file stays with the kubelet. Idempotent."""

    async def container_status(self, container_id: str) -> Container: ...
    async def list_containers(self, *, pod_uid: str = "") -> list[Container]: ...
    async def update_container_resources(self, container_id: str, resources: Resources) -> None: ...
    async def reopen_container_log(self, container_id: str) -> None: ...
    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """timeout_s 0 = none. Raises RuntimeFault(reason='DeadlineExceeded') when it runs out; the process is killed."""

    async def exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Terminal: ...
    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> Terminal: ...
    async def port_forward(self, sandbox_id: str, port: int) -> Tunnel: ...
    async def container_stats(self, container_id: str) -> Usage: ...
    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Live events from this call on. Lossy by contract: the kubelet relists as well."""


class ImageService(Protocol):
    """The ImageService of CRI."""

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        """Pull, unpack; the image ref. Raises RuntimeFault with reason ErrImagePull, InvalidImageName, RegistryUnavailable."""

    async def image_status(self, image: str) -> Image | None:
        """By name, digest or id."""

    async def list_images(self) -> list[Image]: ...
    async def remove_image(self, image: str) -> None: ...
    async def image_fs(self) -> tuple[str, int, int]:
        """(path, used bytes, used inodes) of the image storage."""
