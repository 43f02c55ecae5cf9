"""What the kubelet asks of a container runtime: CRI v1's calls and words, in process, with streams instead of URLs.

Implementations: native/ (crun, conmon, overlayfs), remote.py (containerd, CRI-O over gRPC), simulated.py. One contract suite.
Source: cri-api runtime/v1 api.proto. Times are aware datetimes, durations seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class RuntimeFault(Exception):
    """A runtime call failed; the message goes into events. `reason` may name a kubelet reason (ErrImagePull ...)."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NotThere(RuntimeFault):
    """No such sandbox, container or image."""


class SandboxState(StrEnum):
    READY = "SANDBOX_READY"
    NOT_READY = "SANDBOX_NOTREADY"


class ContainerState(StrEnum):
    CREATED = "CONTAINER_CREATED"
    RUNNING = "CONTAINER_RUNNING"
    EXITED = "CONTAINER_EXITED"
    UNKNOWN = "CONTAINER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class PortMapping:
    protocol: str
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class DNSConfig:
    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class NamespaceMode(StrEnum):
    POD = "POD"
    CONTAINER = "CONTAINER"
    NODE = "NODE"
    TARGET = "TARGET"


@dataclass(frozen=True, slots=True)
class Resources:
    """Linux resources of a container or pod; 0 = unset. cpu_shares/quota/period in kernel units, memory in bytes."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 100_000
    memory_limit: int = 0
    oom_score_adj: int = 0
    pids_limit: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    unified: tuple[tuple[str, str], ...] = ()
    """Files of cgroup version 2 and what to write into them."""
    huge_pages: tuple[tuple[str, int], ...] = ()
    """How many bytes in pages of a size, which is named as control groups name it (`2MB`)."""


@dataclass(frozen=True, slots=True)
class IdMapping:
    """A range of user and group ids of a user namespace, and which of the node's they are."""

    container_id: int
    host_id: int
    length: int


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A pod as the runtime sees it. log_directory holds `<container>/<attempt>.log`. cgroup_parent is a cgroup path."""

    name: str
    uid: str
    namespace: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    dns: DNSConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    network: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.CONTAINER
    ipc: NamespaceMode = NamespaceMode.POD
    sysctls: Mapping[str, str] = field(default_factory=dict)
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    seccomp: str = "Unconfined"
    privileged: bool = False
    overhead: Resources | None = None
    id_mappings: tuple[IdMapping, ...] = ()
    """Of a user namespace of the pod's own, for users and groups alike, container id 0 among them; none: the node's."""
    runtime_handler: str = ""
    """Which of the runtime's configurations runs it, as a RuntimeClass names it; the usual one if empty."""


class Propagation(StrEnum):
    PRIVATE = "PROPAGATION_PRIVATE"
    HOST_TO_CONTAINER = "PROPAGATION_HOST_TO_CONTAINER"
    BIDIRECTIONAL = "PROPAGATION_BIDIRECTIONAL"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host, or, without a host path, what is in an image: that is always read-only.

    `image`: its id; `image_sub_path`: of what lies there in the image, a folder or file.
    """

    container_path: str
    host_path: str
    readonly: bool = False
    propagation: Propagation = Propagation.PRIVATE
    recursive_read_only: bool = False
    image: str = ""
    image_sub_path: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    container_path: str
    host_path: str
    permissions: str = "mrw"


@dataclass(frozen=True, slots=True)
class Security:
    """A container's security context, all defaults resolved except what the image decides (user)."""

    run_as_user: int | None = None
    run_as_username: str = ""
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    strict_groups: bool = False
    """These groups only, none that the image's /etc/group has the user in (supplementalGroupsPolicy: Strict)."""
    privileged: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    readonly_rootfs: bool = False
    no_new_privs: bool = False
    seccomp: str = "Unconfined"
    """`Unconfined`, `RuntimeDefault` or `Localhost:<absolute path>`."""
    apparmor: str = ""
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    pid: NamespaceMode = NamespaceMode.CONTAINER
    target_id: str = ""


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """A container to make. `command`/`args` empty = the image's entrypoint/cmd, by Kubernetes' rules. envs are ordered."""

    name: str
    image: str
    attempt: int = 0
    image_user_spec: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    """Relative to the sandbox's log_directory."""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    security: Security = Security()
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`ips`: primary first; empty with host network. `pid`: of the pause process, 0 if none."""

    id: str
    name: str
    uid: str
    namespace: str
    attempt: int
    state: SandboxState
    created_at: datetime
    network: NamespaceMode
    ips: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """`reason` is Completed, Error, OOMKilled, StartError ...; `message` the runtime's own words. image_ref: digest or id."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: ContainerState
    image: str
    image_ref: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int
    reason: str
    message: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    log_path: str
    """Absolute."""
    pid: int = 0
    user: tuple[int, int, tuple[int, ...]] | None = None
    """(uid, gid, supplemental groups) of the first process, once known."""


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size_bytes: int
    uid: int | None
    username: str
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""


@dataclass(frozen=True, slots=True)
class ExecResult:
    stdout: bytes
    stderr: bytes
    exit_code: int


class EventKind(StrEnum):
    CREATED = "CONTAINER_CREATED_EVENT"
    STARTED = "CONTAINER_STARTED_EVENT"
    STOPPED = "CONTAINER_STOPPED_EVENT"
    DELETED = "CONTAINER_DELETED_EVENT"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """Something happened to a container or (container_id == sandbox_id) to a sandbox. A hint: the state is read anew."""

    kind: EventKind
    container_id: str
    pod_uid: str


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in nanoseconds since start, memory in bytes, at `at`."""

    at: datetime
    cpu_nanoseconds: int = 0
    memory_usage: int = 0
    memory_working_set: int = 0
    memory_rss: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    rootfs_used_bytes: int = 0
    rootfs_inodes_used: int = 0
    processes: int = 0


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
        """Live events. Lossy by contract: the kubelet relists as well."""


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
