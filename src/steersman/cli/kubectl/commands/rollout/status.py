"""`kubectl rollout status`: waits for a rollout and tells how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.rollout.subjects import SELECTING, kind_of, subjects, tell_nothing_found
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.looking import look
from steersman.cli.kubectl.resources import Info
from steersman.machinery.errors import Expired, NotFound, StatusError
from steersman.machinery.meta import Obj, annotations_of, condition, dig, name_of

_REVISION = "deployment.kubernetes.io/revision"
_ONLY_ROLLING = "rollout status is only available for RollingUpdate strategy type"

State = tuple[str, bool]
"""What to say, and whether the rollout is done."""


async def _status(ctx: Context, flags: Flags, args: list[str]) -> int:
    revision = flags.number("revision")
    if revision < 0:
        raise KubectlError(f"revision must be a positive integer: {revision}")
    found = await subjects(ctx, flags, args)
    for info in found.infos:
        try:
            viewer = _VIEWERS.get((info.resource.group, info.resource.kind))
            if viewer is None:
                raise KubectlError(f"no status viewer has been implemented for {kind_of(info)}")
            await _follow(ctx, info, partial(viewer, revision=revision), flags)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    tell_nothing_found(ctx, found)
    raise_all(found.errors)
    return 0


async def _follow(ctx: Context, info: Info, state: Callable[[Obj], State], flags: Flags) -> None:
    try:
        async with asyncio.timeout(flags.seconds("timeout") or None):
            while not await _watched(ctx, info, state, once=not flags.on("watch")):
                pass
    except TimeoutError:
        raise KubectlError("timed out waiting for the condition") from None


async def _watched(ctx: Context, info: Info, state: Callable[[Obj], State], *, once: bool) -> bool:
    """The state now and at every change, until it is done. False when the watch ended before."""
    obj, version = await look(ctx, info)
    text, done = state(obj)
    _say(ctx, text)
    if done or once:
        return True
    watch: Any = ctx.client.watch(
        info.resource,
        info.namespace,
        resource_version=version,
        field_selector=f"metadata.name={info.name}",
        bookmarks=False,
    )
    try:
        async with aclosing(watch) as events:
            async for event in events:
                if event.type == "DELETED":
                    raise KubectlError("object has been deleted")
                text, done = state(event.object)
                _say(ctx, text)
                if done:
                    return True
    except (Expired, NotFound):
        pass
    return False


def _say(ctx: Context, text: str) -> None:
    ctx.print(text)
    ctx.out.flush()


def _deployment(obj: Obj, revision: int) -> State:
    name, status = name_of(obj), obj.get("status") or {}
    if revision > 0:
        running = annotations_of(obj).get(_REVISION, "")
        if running != str(revision):
            raise KubectlError(f"desired revision ({revision}) is different from the running revision ({running})")
    if not _observed(obj):
        return "Waiting for deployment spec update to be observed...", False
    progressing = condition(obj, "Progressing")
    if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
        raise KubectlError(f'deployment "{name}" exceeded its progress deadline')
    wanted = dig(obj, "spec", "replicas", default=1)
    replicas, updated, available = (status.get(key) or 0 for key in ("replicas", "updatedReplicas", "availableReplicas"))
    lead = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return f"{lead} {updated} out of {wanted} new replicas have been updated...", False
    if replicas > updated:
        return f"{lead} {replicas - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{lead} {available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _daemon_set(obj: Obj, revision: int) -> State:
    name, status = name_of(obj), obj.get("status") or {}
    if dig(obj, "spec", "updateStrategy", "type") != "RollingUpdate":
        raise KubectlError(_ONLY_ROLLING)
    if not _observed(obj):
        return "Waiting for daemon set spec update to be observed...", False
    wanted, updated, available = (
        status.get(key) or 0 for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    )
    lead = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return f"{lead} {updated} out of {wanted} new pods have been updated...", False
    if available < wanted:
        return f"{lead} {available} of {wanted} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


def _stateful_set(obj: Obj, revision: int) -> State:
    status: Obj = obj.get("status") or {}
    if dig(obj, "spec", "updateStrategy", "type") != "RollingUpdate":
        raise KubectlError(_ONLY_ROLLING)
    if not status.get("observedGeneration") or not _observed(obj):
        return "Waiting for statefulset spec update to be observed...", False
    wanted = dig(obj, "spec", "replicas", default=1)
    ready, updated = status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    rolling = dig(obj, "spec", "updateStrategy", "rollingUpdate")
    if rolling is not None:
        needed = wanted - (rolling.get("partition") or 0)
        if updated < needed:
            return f"Waiting for partitioned roll out to finish: {updated} out of {needed} new pods have been updated...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    now, then = status.get("currentRevision", ""), status.get("updateRevision", "")
    if now != then:
        return f"waiting for statefulset rolling update to complete {updated} pods at revision {then}...", False
    return f"statefulset rolling update complete {status.get('currentReplicas') or 0} pods at revision {now}...", True


def _observed(obj: Obj) -> bool:
    return bool(dig(obj, "metadata", "generation", default=0) <= dig(obj, "status", "observedGeneration", default=0))


_VIEWERS: Mapping[tuple[str, str], Callable[..., State]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
}

STATUS = Command(
    "Show the status of the rollout.\n\n By default 'rollout status' will watch the status of the latest rollout until it's "
    "done. If you don't want to wait for the rollout to finish then you can use --watch=false.",
    "rollout status (TYPE NAME | TYPE/NAME) [flags] [options]",
    (
        Flag("revision", "int", "Pin to a specific revision for showing its status. Defaults to 0 (last revision)."),
        Flag("timeout", "duration", "The length of time to wait before ending watch, zero means never."),
        Flag("watch", "bool", "Watch the status of the rollout until it's done.", short="w", default=True),
        *SELECTING,
    ),
    _status,
)
