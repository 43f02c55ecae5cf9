"""One API server on the loopback interface, with certificates and policy, and upstream's kubectl to talk to it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from steersman.apiserver.config import ServerConfig
from steersman.apiserver.run import APIServer
from steersman.client import kubeconfig
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.store.memory import MemoryStore

Kubectl = Callable[..., str]


Started = Queue[tuple[int, Callable[[], object]] | Exception]


async def _serve(config: ServerConfig, started: Started) -> None:
    clock = RealClock()
    store = MemoryStore(clock)
    server = APIServer(config, store, clock)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        try:
            await server.start()
        except Exception as fault:
            started.put(fault)
            raise
        started.put((server.port, lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
    finally:
        await server.stop()
        await store.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Path]]:
    """The server's kubeconfig, its address and its certificate authority."""
    paths = Paths(tmp_path_factory.mktemp("cluster"))
    settings = ClusterSettings(node_name="node", advertise_address="127.0.0.1", secure_port=0)
    pki.ensure(paths, settings, RealClock())
    config = ServerConfig(
        bind_address="127.0.0.1",
        advertise_address="192.0.2.1",
        secure_port=0,
        tls_cert=paths.pki / "apiserver.crt",
        tls_key=paths.pki / "apiserver.key",
        client_ca=paths.pki / "ca.crt",
        service_account_key=paths.pki / "sa.key",
    )
    started: Started = Queue()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(config, started)))
    thread.start()
    answer = started.get(timeout=30)
    if isinstance(answer, Exception):
        raise answer
    port, stop = answer
    try:
        read = {stem: (paths.pki / f"{stem}").read_bytes() for stem in ("ca.crt", "admin.crt", "admin.key")}
        made = kubeconfig.make(
            "test", f"https://127.0.0.1:{port}", ca=read["ca.crt"], cert=read["admin.crt"], key=read["admin.key"]
        )
        kubeconfig.write(paths.admin_kubeconfig, made)
        yield paths.admin_kubeconfig, f"https://127.0.0.1:{port}", paths.pki
    finally:
        stop()
        thread.join(30)


@pytest.fixture(scope="session")
def kubectl(served: tuple[Path, str, Path], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run upstream's kubectl with these arguments as the administrator; its output. A failure is shown with what it said."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    cache = tmp_path_factory.mktemp("cache")

    def run(*arguments: str, code: int = 0) -> str:
        command = [program, f"--kubeconfig={served[0]}", f"--cache-dir={cache}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run
