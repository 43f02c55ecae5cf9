"""A whole API server in process: real authentication, authorisation, admission and bootstrap, over a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.certs import key_pem

from steersman.apiserver import local
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.run import APIServer
from steersman.client.rest import RestClient
from steersman.machinery.clock import VirtualClock
from steersman.store.memory import MemoryStore

ADMIN = UserInfo("admin", groups=("system:masters", "system:authenticated"))


@dataclass(slots=True)
class Cluster:
    server: APIServer
    store: MemoryStore
    clock: VirtualClock

    def acting_as(self, name: str, *groups: str) -> RestClient:
        """A client that is that user, authenticated."""
        user = UserInfo(name, groups=(*groups, "system:authenticated"))
        return RestClient(local.transport(self.server.pipeline.acting_as(user)), user_agent="tests")

    @property
    def admin(self) -> RestClient:
        return RestClient(local.transport(self.server.pipeline.acting_as(ADMIN)), user_agent="tests")

    @property
    def outside(self) -> RestClient:
        """A client without credentials of its own: what it sends is authenticated."""
        return RestClient(local.transport(self.server.handler), user_agent="tests")


def settings(directory: Path) -> ServerConfig:
    (directory / "sa.key").write_bytes(key_pem())
    (directory / "ca.crt").write_text("a certificate")
    return ServerConfig(
        bind_address="127.0.0.1",
        secure_port=6443,
        advertise_address="10.0.0.1",
        tls_cert=directory / "ca.crt",
        tls_key=directory / "sa.key",
        client_ca=directory / "ca.crt",
        service_account_key=directory / "sa.key",
    )


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """Started, bootstrapped, and listening nowhere."""
    clock = VirtualClock()
    store = MemoryStore(clock)
    server = APIServer(settings(directory), store, clock)
    await server.start(listen=False)
    try:
        yield Cluster(server, store, clock)
    finally:
        await server.stop()
        await store.close()
