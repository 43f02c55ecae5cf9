"""crictl inspect, inspectp, inspecti, info, imagefsinfo, version."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cri_api.v1 import api_pb2 as cri
from google.protobuf.message import Message

from steersman.cli.crictl.context import Context
from steersman.cli.crictl.output import document, moment, show
from steersman.cri.interface import NotThere
from steersman.machinery.meta import Obj

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("createdAt", "startedAt", "finishedAt")


async def run_inspect(ctx: Context) -> int:
    async def one(given: str) -> Obj:
        request = cri.ContainerStatusRequest(container_id=await ctx.container_id(given), verbose=not ctx.args.quiet)
        answer = await ctx.ask("ContainerStatus", request, cri.ContainerStatusResponse)
        return _whole(answer.status, answer.info)

    return await _each(ctx, one)


async def run_inspectp(ctx: Context) -> int:
    async def one(given: str) -> Obj:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=await ctx.pod_id(given), verbose=not ctx.args.quiet)
        answer = await ctx.ask("PodSandboxStatus", request, cri.PodSandboxStatusResponse)
        return _whole(answer.status, answer.info)

    return await _each(ctx, one)


async def run_inspecti(ctx: Context) -> int:
    async def one(given: str) -> Obj:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=given), verbose=not ctx.args.quiet)
        answer = await ctx.ask_images("ImageStatus", request, cri.ImageStatusResponse)
        if not answer.image.id:
            raise NotThere(f"no such image {given!r} present")
        return _whole(answer.image, answer.info)

    return await _each(ctx, one)


async def run_info(ctx: Context) -> int:
    answer = await ctx.ask("Status", cri.StatusRequest(verbose=True), cri.StatusResponse)
    handlers = [document(each) for each in answer.runtime_handlers]
    _print(ctx, {**_whole(answer.status, answer.info), "runtimeHandlers": handlers})
    return 0


async def run_imagefsinfo(ctx: Context) -> int:
    answer = await ctx.ask_images("ImageFsInfo", cri.ImageFsInfoRequest(), cri.ImageFsInfoResponse)
    _print(ctx, {"status": document(answer)})
    return 0


async def run_version(ctx: Context) -> int:
    answer = await ctx.ask("Version", cri.VersionRequest(), cri.VersionResponse)
    if ctx.args.output != "table":
        show(ctx.out, document(answer), ctx.args.output)
        return 0
    ctx.say(f"Version:  {answer.version}")
    ctx.say(f"RuntimeName:  {answer.runtime_name}")
    ctx.say(f"RuntimeVersion:  {answer.runtime_version}")
    ctx.say(f"RuntimeApiVersion:  {answer.runtime_api_version}")
    return 0


async def _each(ctx: Context, one: Callable[[str], Awaitable[Obj]]) -> int:
    """Several are a list, as crictl has it."""
    found = [await one(given) for given in ctx.args.id]
    _print(ctx, found[0] if len(found) == 1 else found)
    return 0


def _whole(status: Message, info: Mapping[str, str]) -> Obj:
    """The status, and beside it what the runtime says of its own, which is JSON in most cases."""
    shown = document(status)
    for key in _TIMES:
        if key in shown:
            count = int(shown[key])
            shown[key] = moment(count, _EPOCH + timedelta(microseconds=count // 1000))
    return {**{key: _parsed(text) for key, text in sorted(info.items())}, "status": shown}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print(ctx: Context, value: Any) -> None:
    if ctx.args.output != "table":
        show(ctx.out, value, ctx.args.output)
        return
    for each in value if isinstance(value, list) else [value]:
        for key, found in each["status"].items():
            ctx.say(f"{key}: {found if isinstance(found, str) else json.dumps(found)}")
