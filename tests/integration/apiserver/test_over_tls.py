"""An API server as it is shipped, over TLS on a loopback port: certificates, permissions, watches, restarts, kubelets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from tests.fakes.server import config, config_map, pod

from steersman.api.resources import CONFIG_MAPS, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, SERVICES
from steersman.apiserver import server as serving
from steersman.apiserver.run import APIServer
from steersman.client.http import HttpTransport
from steersman.client.rest import RestClient
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Forbidden, NotFound
from steersman.machinery.meta import Obj
from steersman.store.interface import Store
from steersman.store.memory import MemoryStore
from steersman.store.sqlite import SQLiteStore

CLOCK = RealClock()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = Paths(tmp_path_factory.mktemp("state"))
    pki.ensure(paths, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    return paths.pki


@dataclass
class Running:
    server: APIServer
    certificates: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    @asynccontextmanager
    async def client(self, name: str = "admin") -> AsyncIterator[RestClient]:
        """As the owner of that certificate; empty: nobody."""
        cert, key = (self.certificates / f"{name}.crt", self.certificates / f"{name}.key") if name else (None, None)
        client = RestClient(HttpTransport(self.url, ca=self.certificates / "ca.crt", cert=cert, key=key))
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def running(certificates: Path, store: Store) -> AsyncIterator[Running]:
    settings = config(
        certificates,
        advertise_address="192.0.2.1",
        kubelet_client_cert=certificates / "apiserver-kubelet-client.crt",
        kubelet_client_key=certificates / "apiserver-kubelet-client.key",
        kubelet_ca=certificates / "ca.crt",
    )
    server = APIServer(settings, store, CLOCK)
    await server.start()
    try:
        yield Running(server, certificates)
    finally:
        await server.stop()


def run(certificates: Path, scenario: Callable[[Running, RestClient], Awaitable[None]]) -> None:
    async def main() -> None:
        store = MemoryStore(CLOCK)
        async with running(certificates, store) as r, r.client() as admin:
            await scenario(r, admin)
        await store.close()

    asyncio.run(main())


def test_certificates_say_who_asks(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        names = [item["metadata"]["name"] for item in (await admin.list(NAMESPACES))["items"]]
        assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
        service = await admin.get(SERVICES, "kubernetes", "default")
        assert service["spec"]["clusterIP"] == "10.96.0.1"
        assert service["spec"]["ports"][0]["targetPort"] == r.server.port
        async with r.client("") as nobody:
            assert await nobody.raw("GET", "/readyz") == "ok"
            with pytest.raises(Forbidden, match='User "system:anonymous" cannot list resource "pods" in API group ""'):
                await nobody.list(PODS)
        async with r.client("scheduler") as scheduler:
            await scheduler.list(PODS)
            with pytest.raises(Forbidden):
                await scheduler.create(CONFIG_MAPS, config_map())

    run(certificates, scenario)


def test_watches_follow_writes_and_end_when_the_server_stops(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        seen: list[tuple[str, str]] = []
        both = asyncio.Event()
        begin = (await admin.list(CONFIG_MAPS, "default"))["metadata"]["resourceVersion"]

        async def follow(client: RestClient) -> None:
            async for event in client.watch(CONFIG_MAPS, "default", resource_version=begin, bookmarks=False):
                seen.append((event.type, event.object["metadata"]["name"]))
                if len(seen) == 2:
                    both.set()

        async with r.client() as watcher, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow(watcher))
            await admin.create(CONFIG_MAPS, config_map("a"))
            await admin.delete(CONFIG_MAPS, "a", "default")
            await both.wait()
            await r.server.stop()
            await following
        assert seen == [("ADDED", "a"), ("DELETED", "a")]

    run(certificates, scenario)


def test_what_was_acknowledged_is_there_after_a_restart(certificates: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        for attempt in range(2):
            store = await SQLiteStore.open(tmp_path / "store.db", CLOCK)
            async with running(certificates, store) as r, r.client() as admin:
                if not attempt:
                    made = await admin.create(CONFIG_MAPS, config_map())
                assert await admin.get(CONFIG_MAPS, "settings", "default") == made
            await store.close()

    asyncio.run(scenario())


async def raw_connection(r: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=str(r.certificates / "ca.crt"))
    context.load_cert_chain(r.certificates / "admin.crt", r.certificates / "admin.key")
    return await asyncio.open_connection("127.0.0.1", r.server.port, ssl=context)


def test_a_body_over_the_limit_is_refused(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        reader, writer = await raw_connection(r)
        size = (3 << 20) + 1
        writer.write(f"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
        writer.write(b"x" * size)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        body = await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        assert orjson.loads(body)["message"] == "Request entity too large: limit is 3145728"
        writer.close()

    run(certificates, scenario)


def test_the_end_does_not_wait_for_a_client_that_reads_only_what_it_asked_for(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_GOODBYE_S", 3600.0)

    async def scenario(r: Running, admin: RestClient) -> None:
        context = ssl.create_default_context(cafile=str(r.certificates / "ca.crt"))

        def ask() -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", r.server.port))
            secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
            secure.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200 ")
            return secure

        with await asyncio.to_thread(ask):
            async with asyncio.timeout(60):
                await r.server.stop()

    run(certificates, scenario)


async def scheduled_pod(admin: RestClient, kubelet_port: int) -> None:
    node: Obj = {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        },
    }  # fmt: skip
    await admin.create(NODES, node)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    await admin.create(SERVICE_ACCOUNTS, account)
    body = pod()
    body["spec"]["nodeName"] = "n1"
    await admin.create(PODS, body)


@asynccontextmanager
async def kubelet(certificates: Path, answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A TLS server that records request heads, sends `answers`, then echoes in capitals until told to stop."""
    heads: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "kubelet-serving.crt", certificates / "kubelet-serving.key")
    context.load_verify_locations(certificates / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers)
        while b" 101 " in answers and (data := await reader.read(1000)):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        await server.wait_closed()


def test_logs_come_from_the_kubelet(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\n\r\n"
        async with kubelet(certificates, answer) as (port, heads):
            await scheduled_pod(admin, port)
            assert await admin.raw("GET", "/api/v1/namespaces/default/pods/web/log?tailLines=1") == "hello\n"
            assert heads[0].startswith(b"GET /containerLogs/default/web/c?tailLines=1 HTTP/1.1\r\n")
        with pytest.raises(NotFound):
            await admin.raw("GET", "/api/v1/namespaces/default/pods/none/log")

    run(certificates, scenario)


def test_upgrades_are_spliced_to_the_kubelet(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
        async with kubelet(certificates, switch) as (port, heads):
            await scheduled_pod(admin, port)
            reader, writer = await raw_connection(r)
            target = "/api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true&stdout=true"
            writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\n".encode())
            writer.write(b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nAuthorization: Bearer secret\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == switch
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.close()
            assert heads[0].startswith(b"POST /exec/default/web/c?input=1&output=1&command=sh HTTP/1.1\r\n")
            assert b"SPDY/3.1" in heads[0] and b"secret" not in heads[0]

    run(certificates, scenario)


def test_without_an_upgrade_exec_is_refused(certificates: Path) -> None:
    async def scenario(r: Running, admin: RestClient) -> None:
        await scheduled_pod(admin, 1)
        answer = await admin.transport.request("POST", "/api/v1/namespaces/default/pods/web/exec?command=ls")
        assert (answer.status, orjson.loads(answer.body)["message"]) == (400, "Upgrade request required")

    run(certificates, scenario)
