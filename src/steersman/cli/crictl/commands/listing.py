"""crictl pods, ps, images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from cri_api.v1 import api_pb2 as cri

from steersman.cli.crictl.context import Context
from steersman.cli.crictl.output import ago, document, image_name, short, show, size, table
from steersman.cri.interface import RuntimeFault

POD_NAME, POD_NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
_UNKNOWN, _NONE = "unknown", "<none>"
T = TypeVar("T", cri.PodSandbox, cri.Container)


async def run_pods(ctx: Context) -> int:
    args = ctx.args
    found = [each for each in await ctx.pods(ctx.labels) if each.id.startswith(args.id)]
    found = [
        each
        for each in found
        if _matches(args.name, each.metadata.name)
        and _matches(args.namespace, each.metadata.namespace)
        and args.state in (None, _pod_state(each).lower())
    ]
    found = _first(ctx, found)
    if args.quiet:
        _ids(ctx, found)
    elif args.output != "table":
        show(ctx.out, {"items": [document(each) for each in found]}, args.output)
    else:
        now = ctx.clock.now()
        rows = [["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"]]
        for each in found:
            about = each.metadata
            cells = [short(each.id, whole=args.no_trunc), ago(each.created_at, now), _pod_state(each), about.name]
            rows.append([*cells, about.namespace, str(about.attempt), each.runtime_handler or "(default)"])
        ctx.out.write(table(rows))
    return 0


async def run_ps(ctx: Context) -> int:
    args = ctx.args
    pods = {each.id: each for each in await ctx.pods()}
    found = [each for each in await ctx.containers(ctx.labels) if each.id.startswith(args.id)]
    if args.state is not None:
        found = [each for each in found if container_state(each.state).lower() == args.state]
    elif not (args.all or args.latest or args.last):
        found = [each for each in found if each.state == cri.CONTAINER_RUNNING]
    found = [
        each
        for each in found
        if _matches(args.name, each.metadata.name)
        and _matches(args.namespace, pod_of(each, pods)[1])
        and each.pod_sandbox_id.startswith(args.pod)
        and _of_image(args.image, each)
    ]
    found = _first(ctx, found)
    if args.quiet:
        _ids(ctx, found)
    elif args.output != "table":
        show(ctx.out, {"containers": [document(each) for each in found]}, args.output)
    else:
        now, whole = ctx.clock.now(), args.no_trunc
        rows = [["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"]]
        for each in found:
            image = image_name(each.image.image, whole=whole)
            cells = [short(each.id, whole=whole), image, ago(each.created_at, now), container_state(each.state)]
            about = [each.metadata.name, str(each.metadata.attempt), short(each.pod_sandbox_id, whole=whole)]
            rows.append([*cells, *about, *pod_of(each, pods)])
        ctx.out.write(table(rows))
    return 0


async def run_images(ctx: Context) -> int:
    args = ctx.args
    request = cri.ListImagesRequest(filter=cri.ImageFilter(image=cri.ImageSpec(image=args.image)))
    found = list((await ctx.ask_images("ListImages", request, cri.ListImagesResponse)).images)
    found.sort(key=lambda each: (list(each.repo_tags), list(each.repo_digests), each.id))
    if args.quiet:
        _ids(ctx, found)
    elif args.output != "table":
        show(ctx.out, {"images": [document(each) for each in found]}, args.output)
    else:
        rows = [["IMAGE", "TAG", *(["DIGEST"] if args.digests else []), "IMAGE ID", "SIZE"]]
        for each in found:
            name, _, digest = next(iter(each.repo_digests), "").partition("@")
            middle = [short(digest, whole=args.no_trunc) or _NONE] if args.digests else []
            for tag in each.repo_tags or [f"{name or _NONE}:{_NONE}"]:
                repository, _, version = tag.rpartition(":")
                rows.append([repository, version, *middle, short(each.id, whole=args.no_trunc), size(each.size)])
        ctx.out.write(table(rows))
    return 0


def container_state(state: cri.ContainerState.ValueType) -> str:
    return cri.ContainerState.Name(state).removeprefix("CONTAINER_").capitalize()


def pod_of(container: cri.Container, pods: dict[str, cri.PodSandbox]) -> tuple[str, str]:
    """(name, namespace) of its pod, which the kubelet writes on containers; else its sandbox says."""
    pod = pods.get(container.pod_sandbox_id)
    name, namespace = (pod.metadata.name, pod.metadata.namespace) if pod else (_UNKNOWN, _UNKNOWN)
    return container.labels.get(POD_NAME, name), container.labels.get(POD_NAMESPACE, namespace)


def _pod_state(pod: cri.PodSandbox) -> str:
    return "Ready" if pod.state == cri.SANDBOX_READY else "NotReady"


def _matches(pattern: str, text: str) -> bool:
    try:
        return not pattern or re.search(pattern, text) is not None
    except re.error as error:
        raise RuntimeFault(f"invalid regular expression {pattern!r}: {error}") from None


def _of_image(wanted: str, container: cri.Container) -> bool:
    known = (container.image.image, container.image_ref, container.image_id)
    return not wanted or any(name.removeprefix("sha256:").startswith(wanted) or wanted in (name, _last(name)) for name in known)


def _last(name: str) -> str:
    """`busybox` of `docker.io/library/busybox:latest`."""
    return name.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _first(ctx: Context, found: list[T]) -> list[T]:
    count = 1 if ctx.args.latest else ctx.args.last
    return found[:count] if count > 0 else found


def _ids(ctx: Context, found: Sequence[cri.PodSandbox | cri.Container | cri.Image]) -> None:
    for each in found:
        ctx.say(each.id)
