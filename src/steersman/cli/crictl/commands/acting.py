"""crictl stop, rm, stopp, rmp, rmi, pull. One that fails does not keep the others from being done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from cri_api.v1 import api_pb2 as cri

from steersman.cli.crictl.context import Context
from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.remote.calls import SLOW_S

_PULL_S = 1800.0


async def run_stop(ctx: Context) -> int:
    async def one(given: str) -> str:
        await _stop(ctx, await ctx.container_id(given), ctx.args.grace)
        return given

    return await _each(ctx, ctx.args.id, one)


async def run_rm(ctx: Context) -> int:
    async def one(given: str) -> str:
        identity = await ctx.container_id(given)
        asked = cri.ContainerStatusRequest(container_id=identity)
        status = (await ctx.ask("ContainerStatus", asked, cri.ContainerStatusResponse)).status
        if status.state == cri.CONTAINER_RUNNING:
            if not ctx.args.force:
                raise RuntimeFault(f"container {given!r} is running, please stop it first")
            await _stop(ctx, identity, 0)
        request = cri.RemoveContainerRequest(container_id=identity)
        await ctx.ask("RemoveContainer", request, cri.RemoveContainerResponse, SLOW_S)
        return given

    return await _each(ctx, [each.id for each in await ctx.containers()] if ctx.args.all else ctx.args.id, one)


async def run_stopp(ctx: Context) -> int:
    async def one(given: str) -> str:
        await _stop_pod(ctx, await ctx.pod_id(given))
        return f"Stopped sandbox {given}"

    return await _each(ctx, ctx.args.id, one)


async def run_rmp(ctx: Context) -> int:
    async def one(given: str) -> str:
        identity = await ctx.pod_id(given)
        asked = cri.PodSandboxStatusRequest(pod_sandbox_id=identity)
        status = (await ctx.ask("PodSandboxStatus", asked, cri.PodSandboxStatusResponse)).status
        if status.state == cri.SANDBOX_READY:
            if not ctx.args.force:
                raise RuntimeFault(f"pod sandbox {given!r} is running, please stop it first")
            await _stop_pod(ctx, identity)
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=identity)
        await ctx.ask("RemovePodSandbox", request, cri.RemovePodSandboxResponse, SLOW_S)
        return f"Removed sandbox {given}"

    return await _each(ctx, [each.id for each in await ctx.pods()] if ctx.args.all else ctx.args.id, one)


async def run_rmi(ctx: Context) -> int:
    async def one(given: str) -> str:
        asked = cri.ImageStatusRequest(image=cri.ImageSpec(image=given))
        image = (await ctx.ask_images("ImageStatus", asked, cri.ImageStatusResponse)).image
        if not image.id:
            raise NotThere(f"no such image {given!r}")
        request = cri.RemoveImageRequest(image=cri.ImageSpec(image=given))
        await ctx.ask_images("RemoveImage", request, cri.RemoveImageResponse, SLOW_S)
        return "\n".join(f"Deleted: {name}" for name in image.repo_tags or [image.id])

    wanted = ctx.args.id
    if ctx.args.all or ctx.args.prune:
        images = (await ctx.ask_images("ListImages", cri.ListImagesRequest(), cri.ListImagesResponse)).images
        used = await _images_in_use(ctx) if ctx.args.prune else set()
        wanted = [
            each.id for each in images if not each.pinned and used.isdisjoint((each.id, *each.repo_tags, *each.repo_digests))
        ]
        if not wanted:
            return 0
    return await _each(ctx, wanted, one)


async def _images_in_use(ctx: Context) -> set[str]:
    containers = await ctx.containers()
    return {name for each in containers for name in (each.image.image, each.image_ref, each.image_id)}


async def run_pull(ctx: Context) -> int:
    user, _, password = ctx.args.creds.partition(":")
    auth = cri.AuthConfig(username=user, password=password) if user else None
    for name in ctx.args.id:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name), auth=auth)
        answer = await ctx.ask_images("PullImage", request, cri.PullImageResponse, _PULL_S)
        ctx.say(f"Image is up to date for {answer.image_ref}")
    return 0


async def _stop(ctx: Context, identity: str, grace_s: int) -> None:
    request = cri.StopContainerRequest(container_id=identity, timeout=grace_s)
    await ctx.ask("StopContainer", request, cri.StopContainerResponse, grace_s + SLOW_S)


async def _stop_pod(ctx: Context, identity: str) -> None:
    await ctx.ask("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=identity), cri.StopPodSandboxResponse, SLOW_S)


async def _each(ctx: Context, given: Iterable[str], one: Callable[[str], Awaitable[str]]) -> int:
    """Do it to each and tell; 1 if any failed."""
    code, any_ = 0, False
    for each in given:
        any_ = True
        try:
            ctx.say(await one(each))
        except RuntimeFault as fault:
            ctx.complain(fault)
            code = 1
    if not any_ and not getattr(ctx.args, "all", False):
        raise RuntimeFault("at least one ID is needed")
    return code
