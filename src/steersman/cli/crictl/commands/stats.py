"""crictl stats, statsp: what containers and pods use; the processor's share from two looks, a second apart."""

from __future__ import annotations

from cri_api.v1 import api_pb2 as cri

from steersman.cli.crictl.context import Context
from steersman.cli.crictl.output import document, short, show, size, table
from steersman.cri.remote.calls import SLOW_S


async def run_stats(ctx: Context) -> int:
    wanted = cri.ContainerStatsFilter(label_selector=ctx.labels)
    if chosen := ctx.args.id or ctx.args.chosen:
        wanted.id = await ctx.container_id(chosen)
    if ctx.args.pod:
        wanted.pod_sandbox_id = await ctx.pod_id(ctx.args.pod)

    async def look() -> dict[str, cri.ContainerStats]:
        request = cri.ListContainerStatsRequest(filter=wanted)
        answer = await ctx.ask("ListContainerStats", request, cri.ListContainerStatsResponse, SLOW_S)
        return {each.attributes.id: each for each in answer.stats}

    before = await look()
    if not ctx.args.all:
        running = {each.id for each in await ctx.containers() if each.state == cri.CONTAINER_RUNNING}
        before = {key: each for key, each in before.items() if key in running}
    if ctx.args.output != "table":
        show(ctx.out, {"stats": [document(each) for each in before.values()]}, ctx.args.output)
        return 0
    await ctx.clock.sleep(ctx.args.seconds)
    after = await look()
    rows = [["CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES", "SWAP"]]
    for key, each in sorted(before.items()):
        now = after.get(key)
        if now is not None:
            disk = now.writable_layer
            memory, swap = size(now.memory.working_set_bytes.value), size(now.swap.swap_usage_bytes.value)
            cells = [short(key), now.attributes.metadata.name, _share(each.cpu, now.cpu), memory]
            rows.append([*cells, size(disk.used_bytes.value), str(disk.inodes_used.value), swap])
    ctx.out.write(table(rows))
    return 0


async def run_statsp(ctx: Context) -> int:
    wanted = cri.PodSandboxStatsFilter(label_selector=ctx.labels)
    if chosen := ctx.args.id or ctx.args.chosen:
        wanted.id = await ctx.pod_id(chosen)

    async def look() -> dict[str, cri.PodSandboxStats]:
        request = cri.ListPodSandboxStatsRequest(filter=wanted)
        answer = await ctx.ask("ListPodSandboxStats", request, cri.ListPodSandboxStatsResponse, SLOW_S)
        return {each.attributes.id: each for each in answer.stats}

    before = await look()
    if ctx.args.output != "table":
        show(ctx.out, {"stats": [document(each) for each in before.values()]}, ctx.args.output)
        return 0
    await ctx.clock.sleep(ctx.args.seconds)
    after = await look()
    rows = [["POD", "POD ID", "CPU %", "MEM"]]
    for key, each in sorted(before.items(), key=lambda item: item[1].attributes.metadata.name):
        if (now := after.get(key)) is not None:
            share = _share(each.linux.cpu, now.linux.cpu)
            rows.append([now.attributes.metadata.name, short(key), share, size(now.linux.memory.working_set_bytes.value)])
    ctx.out.write(table(rows))
    return 0


def _share(before: cri.CpuUsage, now: cri.CpuUsage) -> str:
    """Per cent of one processor between two looks."""
    passed = now.timestamp - before.timestamp
    used = now.usage_core_nano_seconds.value - before.usage_core_nano_seconds.value
    return f"{max(0, used) / passed * 100:.2f}" if passed > 0 else "0.00"
