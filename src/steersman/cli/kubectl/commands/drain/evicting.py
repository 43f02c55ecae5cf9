"""Taking pods away: evictions, which disruption budgets may refuse for a while, or deletions; and waiting until they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery import duration
from steersman.machinery.errors import Forbidden, NotFound, StatusError, TooManyRequests
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, is_deleting, name_of, namespace_of, parse_time, uid_of

PODS = Resource("", "v1", "pods", True, "Pod")
_RETRY_S, _POLL_S = 5.0, 1.0
_TERMINATING = "NamespaceTerminating"


@dataclass(frozen=True, slots=True)
class Remover:
    """grace_period_s: negative leaves it to the pod. `gone` is told of each pod that has ended."""

    ctx: Context
    grace_period_s: int
    timeout_s: float
    skip_deleted_after_s: int
    server_dry_run: bool
    gone: Callable[[Obj], None]

    async def evict(self, pods: list[Obj]) -> list[Exception]:
        """All at once. What went wrong with single pods."""
        failures: list[Exception] = []

        async def one(pod: Obj) -> None:
            where = f'pods/"{name_of(pod)}" -n "{namespace_of(pod)}"'
            try:
                async with asyncio.timeout(self.timeout_s or None):
                    await self._evict(pod, where)
                    if not self.server_dry_run:
                        await self._until_gone(pod)
            except TimeoutError:
                failures.append(KubectlError(f"error when evicting {where}: {self._late}"))
            except StatusError as error:
                failures.append(KubectlError(f"error when evicting {where}: {error.message}"))

        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(one(pod))
        return failures

    async def delete(self, pods: list[Obj]) -> list[Exception]:
        """One after the other, then waiting for all."""
        for pod in pods:
            try:
                await self.ctx.client.delete(PODS, name_of(pod), namespace_of(pod), grace_period_s=self._grace_period_s)
            except NotFound:
                continue
        try:
            async with asyncio.timeout(self.timeout_s or None):
                for pod in pods:
                    await self._until_gone(pod)
        except TimeoutError:
            return [KubectlError(self._late)]
        return []

    @property
    def _grace_period_s(self) -> int | None:
        return self.grace_period_s if self.grace_period_s >= 0 else None

    @property
    def _late(self) -> str:
        return f"global timeout reached: {duration.format_go(self.timeout_s)}"

    async def _evict(self, pod: Obj, where: str) -> None:
        ctx = self.ctx
        while True:
            ctx.print(f"evicting pod {namespace_of(pod)}/{name_of(pod)}{' (server dry run)' if self.server_dry_run else ''}")
            ctx.out.flush()
            try:
                await self._post_eviction(pod)
                return
            except NotFound:
                return
            except TooManyRequests as error:
                ctx.complain(f"error when evicting {where} (will retry after 5s): {error.message}")
            except Forbidden as error:
                if not any(cause.get("reason") == _TERMINATING for cause in error.causes):
                    raise
                # A namespace that is being deleted takes its pods along; nothing new may be made in it, evictions neither.
                pod = await self._fresh(pod)
                if is_deleting(pod):
                    return
                ctx.complain(
                    f'error when evicting pod "{name_of(pod)}" from terminating namespace "{namespace_of(pod)}" '
                    f"(will retry after 5s): {error.message}"
                )
            await ctx.clock.sleep(_RETRY_S)

    async def _post_eviction(self, pod: Obj) -> None:
        options: Obj = {} if self._grace_period_s is None else {"gracePeriodSeconds": self._grace_period_s}
        if self.server_dry_run:
            options["dryRun"] = ["All"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod)},
            "deleteOptions": options,
        }
        await self.ctx.client.create(PODS, eviction, namespace_of(pod), name=name_of(pod), subresource="eviction")

    async def _fresh(self, pod: Obj) -> Obj:
        try:
            return await self.ctx.client.get(PODS, name_of(pod), namespace_of(pod))
        except StatusError:
            return pod

    async def _until_gone(self, pod: Obj) -> None:
        while True:
            try:
                found = await self.ctx.client.get(PODS, name_of(pod), namespace_of(pod))
            except NotFound:
                break
            if uid_of(found) != uid_of(pod) or self._given_up(found):
                break
            await self.ctx.clock.sleep(_POLL_S)
        self.gone(pod)

    def _given_up(self, pod: Obj) -> bool:
        deleted = parse_time(pod["metadata"].get("deletionTimestamp"))
        if self.skip_deleted_after_s <= 0 or deleted is None:
            return False
        return (self.ctx.clock.now() - deleted).total_seconds() > self.skip_deleted_after_s
