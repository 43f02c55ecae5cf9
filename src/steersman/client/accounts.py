"""Acting as a service account: requests carry a token that is asked for when needed and again before it expires.

Controllers use it so that each may do only what its own role allows (upstream's --use-service-account-credentials).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from steersman.api.resources import SERVICE_ACCOUNTS
from steersman.client.interface import Answer, Client, StreamAnswer, Transport
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, NotFound
from steersman.machinery.meta import Obj, parse_time

log = logging.getLogger(__name__)

TOKEN_LIFETIME_S = 3600
_RENEW_AT = 0.8
_UNAUTHORIZED = 401


class AccountTransport:
    """A Transport that speaks as `namespace/name`, over `base`, which must have no credentials of its own.

    `issuer` is the client that makes the account, if it is missing, and its tokens. `bound` gives a reference to the object
    that a token shall live and die with; then the account must be there.
    """

    def __init__(
        self,
        base: Transport,
        issuer: Client,
        namespace: str,
        name: str,
        clock: Clock,
        bound: Callable[[], Awaitable[Obj]] | None = None,
    ) -> None:
        self._base, self._issuer, self._clock = base, issuer, clock
        self._namespace, self._name = namespace, name
        self._bound = bound
        self._token = ""
        self._renew_at: datetime | None = None
        self._renewing = asyncio.Lock()

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """A token that is refused (the account was made anew) is replaced once. May raise StatusError from issuing."""
        answer = await self._base.request(method, target, headers=await self._with_token(headers), body=body)
        if answer.status == _UNAUTHORIZED:
            self._renew_at = None
            answer = await self._base.request(method, target, headers=await self._with_token(headers), body=body)
        return answer

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamAnswer]:
        async with self._base.stream(method, target, headers=await self._with_token(headers)) as answer:
            yield answer

    async def close(self) -> None:
        """The base belongs to others."""

    async def _with_token(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        async with self._renewing:
            if self._renew_at is None or self._clock.now() >= self._renew_at:
                await self._renew()
        return {**(headers or {}), "Authorization": f"Bearer {self._token}"}

    async def _renew(self) -> None:
        request: Obj = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFETIME_S},
        }
        if self._bound is not None:
            request["spec"]["boundObjectRef"] = await self._bound()
        try:
            answer = await self._ask(request)
        except NotFound:
            if self._bound is not None:
                raise
            account: Obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": self._name}}
            try:
                await self._issuer.create(SERVICE_ACCOUNTS, account, self._namespace)
            except AlreadyExists:
                log.debug("service account made by another account=%s/%s", self._namespace, self._name)
            answer = await self._ask(request)
        now = self._clock.now()
        expires = parse_time(answer["status"].get("expirationTimestamp")) or now + timedelta(seconds=TOKEN_LIFETIME_S)
        self._token = str(answer["status"]["token"])
        self._renew_at = now + (expires - now) * _RENEW_AT

    async def _ask(self, request: Obj) -> Obj:
        return await self._issuer.create(SERVICE_ACCOUNTS, request, self._namespace, name=self._name, subresource="token")
