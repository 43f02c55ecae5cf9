"""The records of cri/messages.py as CRI's answers: what remote/views.py does, the other way round. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
from cri_api.v1 import api_pb2 as cri

from steersman.cri.messages import Container, ContainerState, EventKind, Image, NamespaceMode, Sandbox, SandboxState, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sandbox_state(state: SandboxState) -> cri.PodSandboxState.ValueType:
    return cri.PodSandboxState.Value(state.value)


def container_state(state: ContainerState) -> cri.ContainerState.ValueType:
    return cri.ContainerState.Value(state.value)


def event_kind(kind: EventKind) -> cri.ContainerEventType.ValueType:
    return cri.ContainerEventType.Value(kind.value)


def sandbox_item(found: Sandbox) -> cri.PodSandbox:
    return cri.PodSandbox(
        id=found.id,
        metadata=_about(found),
        state=sandbox_state(found.state),
        created_at=nanoseconds(found.created_at),
        labels=found.labels,
        annotations=found.annotations,
    )


def sandbox_status(found: Sandbox) -> cri.PodSandboxStatus:
    first, *more = found.ips or ("",)
    network = cri.NamespaceMode.Value(found.network.value)
    return cri.PodSandboxStatus(
        id=found.id,
        metadata=_about(found),
        state=sandbox_state(found.state),
        created_at=nanoseconds(found.created_at),
        network=cri.PodSandboxNetworkStatus(ip=first, additional_ips=[cri.PodIP(ip=ip) for ip in more]),
        linux=cri.LinuxPodSandboxStatus(namespaces=cri.Namespace(options=cri.NamespaceOption(network=network))),
        labels=found.labels,
        annotations=found.annotations,
    )


def _about(found: Sandbox) -> cri.PodSandboxMetadata:
    return cri.PodSandboxMetadata(name=found.name, uid=found.uid, namespace=found.namespace, attempt=found.attempt)


def sandbox_details(found: Sandbox) -> dict[str, str]:
    """What a verbose answer adds, as containerd names it."""
    own = found.network is not NamespaceMode.NODE
    return {"info": _json({"pid": found.pid, "hostNetwork": not own, "ips": found.ips})}


def container_item(found: Container) -> cri.Container:
    return cri.Container(
        id=found.id,
        pod_sandbox_id=found.sandbox_id,
        metadata=cri.ContainerMetadata(name=found.name, attempt=found.attempt),
        image=cri.ImageSpec(image=found.image),
        image_ref=found.image_ref,
        state=container_state(found.state),
        created_at=nanoseconds(found.created_at),
        labels=found.labels,
        annotations=found.annotations,
    )


def container_status(found: Container) -> cri.ContainerStatus:
    return cri.ContainerStatus(
        id=found.id,
        metadata=cri.ContainerMetadata(name=found.name, attempt=found.attempt),
        state=container_state(found.state),
        created_at=nanoseconds(found.created_at),
        started_at=nanoseconds(found.started_at),
        finished_at=nanoseconds(found.finished_at),
        exit_code=found.exit_code,
        image=cri.ImageSpec(image=found.image),
        image_ref=found.image_ref,
        reason=found.reason,
        message=found.message,
        labels=found.labels,
        annotations=found.annotations,
        log_path=found.log_path,
        user=_user(found),
    )


def _user(found: Container) -> cri.ContainerUser | None:
    if found.user is None:
        return None
    uid, gid, groups = found.user
    return cri.ContainerUser(linux=cri.LinuxContainerUser(uid=uid, gid=gid, supplemental_groups=groups))


def container_details(found: Container) -> dict[str, str]:
    return {"info": _json({"sandboxID": found.sandbox_id, "pid": found.pid})}


def image(found: Image) -> cri.Image:
    return cri.Image(
        id=found.id,
        repo_tags=found.repo_tags,
        repo_digests=found.repo_digests,
        size=found.size_bytes,
        uid=None if found.uid is None else cri.Int64Value(value=found.uid),
        username=found.username,
        pinned=found.pinned,
    )


def image_fs(path: str, used_bytes: int, used_inodes: int, now: datetime) -> cri.ImageFsInfoResponse:
    disk = _disk(used_bytes, used_inodes, nanoseconds(now), path)
    return cri.ImageFsInfoResponse(image_filesystems=[disk], container_filesystems=[disk])


def container_stats(found: Container, usage: Usage) -> cri.ContainerStats:
    at = nanoseconds(usage.at)
    return cri.ContainerStats(
        attributes=cri.ContainerAttributes(
            id=found.id,
            metadata=cri.ContainerMetadata(name=found.name, attempt=found.attempt),
            labels=found.labels,
            annotations=found.annotations,
        ),
        cpu=_cpu(usage.cpu_nanoseconds, at),
        memory=_memory([usage], at),
        writable_layer=_disk(usage.rootfs_used_bytes, usage.rootfs_inodes_used, at),
    )


def sandbox_stats(found: Sandbox, containers: Sequence[tuple[Container, Usage]], now: datetime) -> cri.PodSandboxStats:
    """The sum of its containers."""
    usages = [usage for _, usage in containers]
    at = nanoseconds(max((usage.at for usage in usages), default=now))
    return cri.PodSandboxStats(
        attributes=cri.PodSandboxAttributes(
            id=found.id, metadata=_about(found), labels=found.labels, annotations=found.annotations
        ),
        linux=cri.LinuxPodSandboxStats(
            cpu=_cpu(sum(usage.cpu_nanoseconds for usage in usages), at),
            memory=_memory(usages, at),
            process=cri.ProcessUsage(timestamp=at, process_count=_number(sum(usage.processes for usage in usages))),
            containers=[container_stats(container, usage) for container, usage in containers],
        ),
    )


def _cpu(used: int, at: int) -> cri.CpuUsage:
    return cri.CpuUsage(timestamp=at, usage_core_nano_seconds=_number(used))


def _memory(usages: Sequence[Usage], at: int) -> cri.MemoryUsage:
    return cri.MemoryUsage(
        timestamp=at,
        working_set_bytes=_number(sum(usage.memory_working_set for usage in usages)),
        usage_bytes=_number(sum(usage.memory_usage for usage in usages)),
        rss_bytes=_number(sum(usage.memory_rss for usage in usages)),
        page_faults=_number(sum(usage.page_faults for usage in usages)),
        major_page_faults=_number(sum(usage.major_page_faults for usage in usages)),
    )


def _disk(used_bytes: int, used_inodes: int, at: int, path: str = "") -> cri.FilesystemUsage:
    return cri.FilesystemUsage(
        timestamp=at,
        fs_id=cri.FilesystemIdentifier(mountpoint=path) if path else None,
        used_bytes=_number(used_bytes),
        inodes_used=_number(used_inodes),
    )


def _number(value: int) -> cri.UInt64Value:
    return cri.UInt64Value(value=value)


def nanoseconds(at: datetime | None) -> int:
    return 0 if at is None else (at - _EPOCH) // timedelta(microseconds=1) * 1000


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
