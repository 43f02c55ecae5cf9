"""Servers to measure, each in a process of its own: the API server alone, and a bare aiohttp server as the baseline."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from steersman.client.http import HttpTransport
from steersman.client.rest import RestClient
from steersman.cluster import apiserving, kubeconfigs, pki, process
from steersman.cluster.procs import pss
from steersman.cluster.settings import ClusterSettings, Paths, save
from steersman.machinery.clock import RealClock

_PATIENCE_S = 30.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Running:
    """A server under load. `started_s`: from spawning the process to its first answer."""

    paths: Paths
    port: int
    pid: int
    started_s: float

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RestClient]:
        """As administrator."""
        pki_dir = self.paths.pki
        transport = HttpTransport(self.url, ca=pki_dir / "ca.crt", cert=pki_dir / "admin.crt", key=pki_dir / "admin.key")
        try:
            yield RestClient(transport, user_agent="bench")
        finally:
            await transport.close()

    def pss_mb(self) -> float:
        return pss(self.pid) / 1e6


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(port: int) -> ClusterSettings:
    # An address of documentation (RFC 5737): the `kubernetes` Endpoints may not hold a loopback one, and nobody goes there.
    return ClusterSettings(node_name="bench", advertise_address="198.51.100.1", secure_port=port)


@contextmanager
def api_server(directory: Path, port: int) -> Iterator[Running]:
    paths = Paths(directory)
    settings = _settings(port)
    save(paths, settings)
    pki.ensure(paths, settings, RealClock())
    kubeconfigs.ensure(paths, settings)
    with _process(_serve_api, paths, port, "/readyz") as running:
        yield running


@contextmanager
def bare_server(paths: Paths, port: int, body: bytes) -> Iterator[Running]:
    """aiohttp and uvloop with TLS, answering the same bytes to everything."""
    with _process(_serve_bare, paths, port, "/", body) as running:
        yield running


@contextmanager
def _process(target: Callable[..., None], paths: Paths, port: int, probe: str, *extra: object) -> Iterator[Running]:
    begin = time.perf_counter()
    process = _SPAWN.Process(target=target, args=(paths, port, *extra), daemon=True)
    process.start()
    try:
        asyncio.run(_answers(paths, port, probe, process.is_alive))
        assert process.pid is not None
        yield Running(paths, port, process.pid, time.perf_counter() - begin)
    finally:
        process.terminate()
        process.join(20)


async def _answers(paths: Paths, port: int, path: str, alive: Callable[[], bool]) -> None:
    """Until a GET gets a 200. Raises RuntimeError if the server ends before, or takes too long."""
    deadline = time.perf_counter() + _PATIENCE_S
    context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
    context.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")
    while alive() and time.perf_counter() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
            if b" 200 " in line:
                return
        except OSError:
            pass
        await asyncio.sleep(0.01)
    raise RuntimeError(f"no answer from port {port}")


def _serve_api(paths: Paths, port: int) -> None:
    settings = _settings(port)
    process.run_part(apiserving.apiserver, paths, settings)


def _serve_bare(paths: Paths, port: int, body: bytes) -> None:
    async def main() -> None:
        from aiohttp import web

        async def answer(_request: web.BaseRequest) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.pki / "apiserver.crt", paths.pki / "apiserver.key")
        server = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", port, ssl=context)
        async with server:
            await asyncio.Event().wait()

    process.run_until_told(main)
