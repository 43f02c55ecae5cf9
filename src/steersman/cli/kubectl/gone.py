"""Waiting until an object is gone: for `delete --wait` and `wait --for=delete`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.looking import look
from steersman.cli.kubectl.resources import Info
from steersman.client.interface import WatchEvent
from steersman.machinery.errors import Expired, NotFound
from steersman.machinery.meta import uid_of

FOREVER_S = 7 * 24 * 3600.0
"""What a timeout of zero means."""


async def wait_until_gone(ctx: Context, info: Info, uid: str, timeout_s: float) -> None:
    """Return when the object with this UID (any, if empty) is no longer there. KubectlError after `timeout_s`; 0 is a week."""
    try:
        async with asyncio.timeout(timeout_s or FOREVER_S):
            while not await _seen_gone(ctx, info, uid):
                pass
    except TimeoutError:
        raise KubectlError(f"timed out waiting for the condition on {info.resource.plural}/{info.name}") from None


async def _seen_gone(ctx: Context, info: Info, uid: str) -> bool:
    """Look, then watch. False when the watch ended without news, which a server may do at any time."""
    try:
        obj, version = await look(ctx, info)
    except NotFound:
        return True
    if uid and uid_of(obj) != uid:
        return True
    watch = cast(
        AsyncGenerator[WatchEvent, None],
        ctx.client.watch(
            info.resource,
            info.namespace,
            resource_version=version,
            field_selector=f"metadata.name={info.name}",
            bookmarks=False,
        ),
    )
    try:
        async with aclosing(watch) as events:
            async for event in events:
                if event.type == "DELETED" or (uid and uid_of(event.object) != uid):
                    return True
    except Expired:
        pass
    return False
