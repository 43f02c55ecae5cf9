"""Taking a node out of the cluster: cordon, drain, delete its Node and what it asked for. As `kubectl drain` and `delete node`.

Pods are evicted, so that disruption budgets are respected, and waited for; the pods of a node that does not answer cannot end,
and go with their Node (pod garbage collection). What it was given ends as well: tokens are bound to the Node, and its requests
for certificates are deleted. Its client certificate cannot be called back: it ends by itself, or the machine forgets it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS, NODES, PERSISTENT_VOLUMES, PODS
from steersman.client.interface import Client
from steersman.cluster.progress import Progress
from steersman.loop import localpath
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError, TooManyRequests
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    controller_of,
    dig,
    is_condition_true,
    name_of,
    namespace_of,
    uid_of,
)

log = logging.getLogger(__name__)

_MIRROR = "kubernetes.io/config.mirror"
_POLL_S = 0.2
_RETRY_S = 2.0
"""How long after a disruption budget has refused (upstream: 5 s)."""


class RemoveError(Exception):
    """The node stays; one sentence that says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`force`: nothing that would be lost keeps the node, and pods that budgets protect are deleted when time is up."""

    node: str
    force: bool = False
    timeout_s: float = 300.0


async def remove(client: Client, wish: Wish, clock: Clock, progress: Progress) -> None:
    """Raises RemoveError, StatusError."""
    try:
        node = await client.get(NODES, wish.node)
    except NotFound:
        raise RemoveError(f"there is no node {wish.node}") from None
    pods = movable(await _pods_on(client, wish.node))
    if not wish.force:
        lost = losses(pods) + await _lost_volumes(client, wish.node)
        if lost:
            raise RemoveError(f"{'; '.join(lost)}: --force removes node {wish.node} all the same")
    with progress.step("cordon"):
        await client.patch(NODES, wish.node, {"spec": {"unschedulable": True}})
    with progress.step("drain") as notes:
        notes.append(await _drain(client, node, pods, wish, clock))
    with progress.step("node and certificates") as notes:
        await client.delete(NODES, wish.node)
        notes.append(f"{await _forget_requests(client, wish.node)} requests")


def movable(pods: Sequence[Obj]) -> list[Obj]:
    """Pods that have to leave: those of DaemonSets would be back at once, and mirror pods are the kubelet's own."""
    return [
        pod
        for pod in pods
        if dig(controller_of(pod), "kind") != "DaemonSet"
        and _MIRROR not in annotations_of(pod)
        and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
    ]


def losses(pods: Sequence[Obj]) -> list[str]:
    """What would be gone for good with these pods, in kubectl drain's terms."""
    found: list[str] = []
    alone = [_shown(pod) for pod in pods if controller_of(pod) is None]
    if alone:
        found.append(f"nobody would make these pods anew: {', '.join(alone)}")
    scratch = [_shown(pod) for pod in pods if any("emptyDir" in volume for volume in dig(pod, "spec", "volumes", default=()))]
    if scratch:
        found.append(f"these pods would lose what is in their emptyDirs: {', '.join(scratch)}")
    return found


def _shown(pod: Obj) -> str:
    return f"{namespace_of(pod)}/{name_of(pod)}"


async def _pods_on(client: Client, node: str) -> list[Obj]:
    answer = await client.list(PODS, field_selector=f"spec.nodeName={node}")
    items: list[Obj] = answer["items"]
    return items


async def _lost_volumes(client: Client, node: str) -> list[str]:
    """Claims whose data is on the node's own disk."""
    volumes = (await client.list(PERSISTENT_VOLUMES))["items"]
    claims = [
        "/".join((dig(volume, "spec", "claimRef", "namespace"), dig(volume, "spec", "claimRef", "name")))
        for volume in volumes
        if annotations_of(volume).get(localpath.NODE) == node and dig(volume, "spec", "claimRef")
    ]
    return [f"the data of these claims is on its disk: {', '.join(sorted(claims))}"] if claims else []


async def _drain(client: Client, node: Obj, pods: Sequence[Obj], wish: Wish, clock: Clock) -> str:
    """Evict all, at once, and wait for their ends if the node can tell them."""
    alive = is_condition_true(node, "Ready")
    deadline = clock.monotonic() + wish.timeout_s
    refused: list[str] = []

    async def one(pod: Obj) -> None:
        if not await _evict(client, pod, deadline, wish.force, clock):
            refused.append(_shown(pod))

    async with asyncio.TaskGroup() as group:
        for pod in pods:
            group.create_task(one(pod))
    if refused:
        raise RemoveError(
            f"disruption budgets did not let these pods go within {wish.timeout_s:.0f} s: {', '.join(sorted(refused))}. "
            "The node stays cordoned; `kubectl uncordon` takes that back, --force deletes them in spite of it"
        )
    if not alive:
        return f"{len(pods)} pods given up: the node does not answer"
    left = await _wait_for_ends(client, wish.node, pods, deadline, clock)
    if left and not wish.force:
        raise RemoveError(f"these pods did not end within {wish.timeout_s:.0f} s: {', '.join(left)}. The node stays cordoned")
    return f"{len(pods)} pods moved"


async def _evict(client: Client, pod: Obj, deadline: float, force: bool, clock: Clock) -> bool:
    """False if its budget has not let it go in time."""
    namespace, name = namespace_of(pod), name_of(pod)
    eviction: Obj = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": uid_of(pod)}},
    }
    while True:
        try:
            await client.create(PODS, eviction, namespace, name=name, subresource="eviction")
            return True
        except NotFound:
            return True
        except TooManyRequests:
            if clock.monotonic() + _RETRY_S > deadline:
                break
        except StatusError as error:
            if "UID" in str(error):
                # Another pod of that name is there by now, on whichever node.
                return True
            raise
        await clock.sleep(_RETRY_S)
    if force:
        try:
            await client.delete(PODS, name, namespace)
        except NotFound:
            log.debug("pod gone pod=%s/%s", namespace, name)
    return force


async def _wait_for_ends(client: Client, node: str, pods: Sequence[Obj], deadline: float, clock: Clock) -> list[str]:
    """Those that are still there when time is up."""
    waited_for = {uid_of(pod) for pod in pods}
    while True:
        left = [_shown(pod) for pod in await _pods_on(client, node) if uid_of(pod) in waited_for]
        if not left or clock.monotonic() > deadline:
            return sorted(left)
        await clock.sleep(_POLL_S)


async def _forget_requests(client: Client, node: str) -> int:
    """The node's requests for certificates, by its own name or as what it was when it joined."""
    user = f"system:node:{node}"
    found = [
        name_of(request)
        for request in (await client.list(CERTIFICATE_SIGNING_REQUESTS))["items"]
        if dig(request, "spec", "username") == user or _asks_for(request, user)
    ]
    for name in found:
        try:
            await client.delete(CERTIFICATE_SIGNING_REQUESTS, name)
        except NotFound:
            log.debug("request gone csr=%s", name)
    return len(found)


def _asks_for(request: Obj, user: str) -> bool:
    from cryptography.x509.oid import NameOID

    from steersman.api.validation.certificates import parse_request

    try:
        names = parse_request(request["spec"]).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return False
    return [name.value for name in names][-1:] == [user]
