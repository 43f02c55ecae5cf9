"""Validating webhooks: all that a request meets are asked at once, and one that refuses is enough."""

from __future__ import annotations

import asyncio

from steersman.apiserver.admission.webhooks.calling import Calling, Invocation
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.errors import StatusError

_FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/round_0_index_{}"


class Validating:
    def __init__(self, calling: Calling) -> None:
        self._calling = calling
        self.counts, self.close = calling.counts, calling.close

    async def ask(self, request: AdmissionRequest) -> None:
        """Raises StatusError."""
        found: list[Invocation] = []
        for index, hook in enumerate(self._calling.hooks):
            invocation = await self._calling.meets(hook, index, request)
            if invocation is not None:
                found.append(invocation)
        if len(found) == 1:
            await self._one(found[0], request)
        elif found:
            await self._together(found, request)

    async def _one(self, it: Invocation, request: AdmissionRequest) -> None:
        if await self._calling.ask(it, request) is None:
            request.audit_annotations[_FAILED_OPEN.format(it.index)] = it.hook.name

    async def _together(self, found: list[Invocation], request: AdmissionRequest) -> None:
        refusals: list[StatusError] = []

        async def one(it: Invocation) -> None:
            try:
                await self._one(it, request)
            except StatusError as error:
                refusals.append(error)

        async with asyncio.TaskGroup() as tasks:
            for it in found:
                tasks.create_task(one(it))
        if refusals:
            raise refusals[0]
