"""What the kubelet and a container runtime say to each other: CRI v1's messages, as far as they are used.

Source: cri-api runtime/v1 api.proto. Times are aware datetimes, durations seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
