"""Which pod and which container a verb works on: `exec deploy/web`, `logs job/sum`, `attach web`.

Source: kubectl pkg/polymorphichelpers, pkg/cmd/util/podcmd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery import labels
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, condition, dig, name_of

PODS = Resource("", "v1", "pods", True, "Pod")
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def active_first(pod: Obj) -> tuple[Any, ...]:
    """Sorts what is best to talk to first: assigned, running, ready, ready for long, seldom restarted, old."""
    ready = condition(pod, "Ready")
    is_ready = ready is not None and ready.get("status") == "True"
    restarts = max((status.get("restartCount", 0) for status in dig(pod, "status", "containerStatuses", default=())), default=0)
    return (
        not dig(pod, "spec", "nodeName"),
        -_PHASES.get(dig(pod, "status", "phase", default=""), 0),
        not is_ready,
        ready.get("lastTransitionTime", "") if ready is not None and is_ready else "",
        restarts,
        pod["metadata"].get("creationTimestamp") or "",
    )


def telling_first(pod: Obj) -> tuple[Any, ...]:
    """Sorts what has most to log first: as above, but often restarted before seldom."""
    *front, restarts, created = active_first(pod)
    return (*front, -restarts, created)


def selector_of(obj: Obj, doing: str) -> str:
    """The labels by which a workload or Service finds its pods. `doing` begins the error about kinds that have none."""
    kind = obj.get("kind", "")
    if kind in ("ReplicationController", "Service"):
        selector = dig(obj, "spec", "selector")
        if not selector:
            raise KubectlError(f"{doing} *v1.{kind}: invalid service '{name_of(obj)}': Service is defined without a selector")
        return str(labels.from_map(selector))
    if kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job"):
        return str(labels.from_label_selector(dig(obj, "spec", "selector")))
    raise KubectlError(f"{doing} *v1.{kind}: selector for *v1.{kind} not implemented")


async def pods_of(
    ctx: Context, namespace: str, selector: str, order: Callable[[Obj], tuple[Any, ...]], wait_s: float
) -> list[Obj]:
    """The pods, best first. If there is none, the first to come within that time."""
    listed = await ctx.client.list(PODS, namespace, label_selector=selector)
    if listed["items"]:
        return sorted(listed["items"], key=order)
    version = str((listed.get("metadata") or {}).get("resourceVersion") or "")
    watch: Any = ctx.client.watch(PODS, namespace, label_selector=selector, resource_version=version, bookmarks=False)
    try:
        async with asyncio.timeout(wait_s), aclosing(watch) as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    return [event.object]
    except TimeoutError:
        pass
    raise KubectlError("timed out waiting for the condition")


async def pod_to_talk_to(ctx: Context, word: str, wait_s: float) -> Obj:
    """`web`, `pod/web`, `deploy/web`: a pod to run something in, attach or forward to."""
    kind, slash, name = word.partition("/")
    mapping = await ctx.mapper.for_argument(kind) if slash else None
    if mapping is None:
        return await ctx.client.get(PODS, word, ctx.namespace)
    obj = await ctx.client.get(mapping.resource, name, ctx.namespace if mapping.resource.namespaced else "")
    return await pod_behind(ctx, obj, wait_s)


async def pod_behind(ctx: Context, obj: Obj, wait_s: float) -> Obj:
    if obj.get("kind") == "Pod":
        return obj
    selector = selector_of(obj, "cannot attach to")
    return (await pods_of(ctx, obj["metadata"].get("namespace") or ctx.namespace, selector, active_first, wait_s))[0]


def all_containers(pod: Obj) -> list[Obj]:
    """Containers, then init and ephemeral ones: the order in which one by that name is looked for."""
    spec: Obj = pod["spec"]
    return [*spec.get("containers", ()), *spec.get("initContainers", ()), *spec.get("ephemeralContainers", ())]


def default_container(ctx: Context, pod: Obj, *, quiet: bool = False) -> Obj:
    """The annotated one, else the first; which it was is told on stderr if there are several."""
    named = annotations_of(pod).get(DEFAULT_CONTAINER)
    if named:
        found = next((item for item in all_containers(pod) if item["name"] == named), None)
        if found is not None:
            return found
        if not quiet:
            ctx.complain(f"Default container name {named} not found in pod {name_of(pod)}")
    first: Obj = pod["spec"]["containers"][0]
    if len(all_containers(pod)) > 1 and not quiet:
        ctx.complain(f'Defaulted container "{first["name"]}" out of: {container_names(pod)}')
    return first


def container_names(pod: Obj) -> str:
    spec: Obj = pod["spec"]
    names = [item["name"] for item in spec.get("containers", ())]
    names += [f"{item['name']} (ephem)" for item in spec.get("ephemeralContainers", ())]
    names += [f"{item['name']} (init)" for item in spec.get("initContainers", ())]
    return ", ".join(names)


def container_of(ctx: Context, pod: Obj, name: str, *, quiet: bool = False) -> Obj:
    """The container of that name, the default one without a name. KubectlError if the pod has no such container."""
    if not name:
        return default_container(ctx, pod, quiet=quiet)
    found = next((item for item in all_containers(pod) if item["name"] == name), None)
    if found is None:
        raise KubectlError(f"container {name} not found in pod {name_of(pod)}")
    return found
