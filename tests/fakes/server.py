"""An API server in process, over a store in memory, that lets everybody do everything: the request core without policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.apiserver import local
from steersman.apiserver.admission.resource_quota import ResourceQuota
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import AdmissionPlugin, Listers, RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.apiserver.run import APIServer, Parts
from steersman.client.interface import Answer, Client
from steersman.client.rest import RestClient
from steersman.machinery.clock import Clock, VirtualClock
from steersman.machinery.meta import Obj
from steersman.store.interface import Store
from steersman.store.memory import MemoryStore

ALICE = UserInfo("alice", groups=("system:masters", "system:authenticated"))


class Everybody:
    """Authenticates all as alice and forbids only what `denied` says."""

    def __init__(self, denied: Callable[[RequestInfo], bool] | None = None) -> None:
        self._denied = denied

    async def authenticate(self, request: Request) -> UserInfo:
        return ALICE

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        return (Verdict.NO_OPINION if self._denied and self._denied(info) else Verdict.ALLOW), ""


def config(directory: Path = Path("/nonexistent"), **settings: Any) -> ServerConfig:
    return ServerConfig(
        bind_address="127.0.0.1",
        secure_port=0,
        tls_cert=directory / "apiserver.crt",
        tls_key=directory / "apiserver.key",
        client_ca=directory / "ca.crt",
        service_account_key=directory / "sa.key",
        **settings,
    )


async def _nothing(_config: ServerConfig) -> None:
    """What a start has to make beside the server's own objects."""


class World:
    """A running server and ways to talk to it."""

    def __init__(self, server: APIServer, store: MemoryStore, clock: VirtualClock) -> None:
        self.server, self.store, self.clock = server, store, clock
        self.transport = local.transport(server.handler)
        self.client = RestClient(self.transport, user_agent="tests")

    async def raw(
        self, method: str, target: str, body: Any = None, *, content_type: str = "application/json", **headers: str
    ) -> Answer:
        sent = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.transport.request(method, target, headers={"content-type": content_type, **named}, body=sent)

    async def obj(self, method: str, target: str, body: Any = None, **headers: str) -> Obj:
        answer = await self.raw(method, target, body, **headers)
        found: Obj = orjson.loads(answer.body)
        return found


@asynccontextmanager
async def world(
    *,
    specs: Sequence[KindSpec] = BUILTIN,
    admission: Sequence[AdmissionPlugin] = (),
    plugins: Callable[[Listers], Sequence[AdmissionPlugin]] | None = None,
    denied: Callable[[RequestInfo], bool] | None = None,
    quotas: bool = False,
    begins: bool = False,
    store: MemoryStore | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """begins: the server makes objects of its own at its start, as a cluster's does."""
    clock = VirtualClock()
    store = store or MemoryStore(clock)
    everybody = Everybody(denied)

    def parts(_c: ServerConfig, _s: Store, listers: Listers, _client: Client, _clock: Clock) -> Parts:
        charging = ResourceQuota(listers, clock) if quotas else None
        chain = plugins(listers) if plugins is not None else admission
        return Parts(everybody, everybody, chain, charging, bootstrap=_nothing if begins else None)

    server = APIServer(config(**settings), store, clock, specs=specs, parts=parts)
    await server.start(listen=False)
    try:
        yield World(server, store, clock)
    finally:
        await server.stop()
        await store.close()


def pod(name: str = "web", **metadata: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


def config_map(name: str = "settings", **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", **metadata}, "data": {}}
