"""CRI's answers as the records of cri/messages.py. Pure.

What CRI does not say, runtimes put into the `info` of a verbose answer, as JSON of their own: process ids and users are read
from it as containerd and CRI-O write them, and left out when they are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cri_api.v1 import api_pb2 as cri

from steersman.cri.messages import Container, ContainerState, Image, NamespaceMode, Sandbox, SandboxState, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTAINER_STATES = {
    cri.CONTAINER_CREATED: ContainerState.CREATED,
    cri.CONTAINER_RUNNING: ContainerState.RUNNING,
    cri.CONTAINER_EXITED: ContainerState.EXITED,
}
_NAMESPACES = {
    cri.CONTAINER: NamespaceMode.CONTAINER,
    cri.NODE: NamespaceMode.NODE,
    cri.TARGET: NamespaceMode.TARGET,
}


def container_state(state: cri.ContainerState.ValueType) -> ContainerState:
    return _CONTAINER_STATES.get(state, ContainerState.UNKNOWN)


def sandbox_state(state: cri.PodSandboxState.ValueType) -> SandboxState:
    return SandboxState.READY if state == cri.SANDBOX_READY else SandboxState.NOT_READY


def sandbox(answer: cri.PodSandboxStatusResponse) -> Sandbox:
    status = answer.status
    about = status.metadata
    ips = (status.network.ip, *(each.ip for each in status.network.additional_ips))
    network = _NAMESPACES.get(status.linux.namespaces.options.network, NamespaceMode.POD)
    return Sandbox(
        id=status.id,
        name=about.name,
        uid=about.uid,
        namespace=about.namespace,
        attempt=about.attempt,
        state=sandbox_state(status.state),
        created_at=_time(status.created_at) or _EPOCH,
        network=network,
        ips=() if network is NamespaceMode.NODE else tuple(ip for ip in ips if ip),
        labels=dict(status.labels),
        annotations=dict(status.annotations),
        pid=_pid(details(answer.info)),
    )


def container(answer: cri.ContainerStatusResponse, sandbox_id: str) -> Container:
    status = answer.status
    more = details(answer.info)
    return Container(
        id=status.id,
        sandbox_id=sandbox_id or str(more.get("sandboxID") or ""),
        name=status.metadata.name,
        attempt=status.metadata.attempt,
        state=container_state(status.state),
        image=status.image.image,
        image_ref=status.image_ref,
        created_at=_time(status.created_at) or _EPOCH,
        started_at=_time(status.started_at),
        finished_at=_time(status.finished_at),
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message,
        labels=dict(status.labels),
        annotations=dict(status.annotations),
        log_path=status.log_path,
        pid=_pid(more),
        user=_user(status, more),
    )


def image(found: cri.Image) -> Image:
    return Image(
        id=found.id,
        repo_tags=tuple(found.repo_tags),
        repo_digests=tuple(found.repo_digests),
        size_bytes=found.size,
        uid=found.uid.value if found.HasField("uid") else None,
        username=found.username,
        pinned=found.pinned,
    )


def usage(stats: cri.ContainerStats, now: datetime) -> Usage:
    memory, layer = stats.memory, stats.writable_layer
    return Usage(
        at=_time(stats.cpu.timestamp) or now,
        cpu_nanoseconds=stats.cpu.usage_core_nano_seconds.value,
        memory_usage=memory.usage_bytes.value or memory.working_set_bytes.value,
        memory_working_set=memory.working_set_bytes.value,
        memory_rss=memory.rss_bytes.value,
        page_faults=memory.page_faults.value,
        major_page_faults=memory.major_page_faults.value,
        rootfs_used_bytes=layer.used_bytes.value,
        rootfs_inodes_used=layer.inodes_used.value,
    )


def details(info: Mapping[str, str], key: str = "info") -> dict[str, Any]:
    """A verbose answer's JSON; empty if it is not there or something else."""
    try:
        found = orjson.loads(info.get(key) or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _pid(more: Mapping[str, Any]) -> int:
    pid = more.get("pid")
    return pid if isinstance(pid, int) else 0


def _user(status: cri.ContainerStatus, more: Mapping[str, Any]) -> tuple[int, int, tuple[int, ...]] | None:
    if status.HasField("user") and status.user.HasField("linux"):
        linux = status.user.linux
        return linux.uid, linux.gid, tuple(linux.supplemental_groups)
    try:
        user = more["runtimeSpec"]["process"]["user"]
        return int(user["uid"]), int(user["gid"]), tuple(int(gid) for gid in user.get("additionalGids") or ())
    except (KeyError, TypeError, ValueError):
        return None


def _time(nanoseconds: int) -> datetime | None:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds > 0 else None
