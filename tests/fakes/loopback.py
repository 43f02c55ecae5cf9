"""One API server on the loopback interface, with certificates and policy, in a thread of the test; and kubectl to talk to it.

Needs no root. Not here: controllers, nodes (tests/integration/clients/served.py has them, in processes of their own).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import pytest
from tools.throwaway import Failed

from steersman.apiserver.config import ServerConfig
from steersman.apiserver.run import APIServer
from steersman.client import kubeconfig
from steersman.cluster import pki
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.store.memory import MemoryStore

_START_S = 120
"""Only so that nothing hangs."""

Started = Queue[tuple[int, Callable[[], object]] | Exception]


@dataclass(frozen=True)
class Loopback:
    """The administrator's kubeconfig, the server's address (`https://127.0.0.1:1234`), the directory with its certificates."""

    config: Path
    url: str
    pki: Path


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


@contextmanager
def serving(directory: Path) -> Iterator[Loopback]:
    """A server over a store in memory; what it needs on disk is in `directory`."""
    paths = Paths(directory)
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
    answer = started.get(timeout=_START_S)
    if isinstance(answer, Exception):
        raise answer
    port, stop = answer
    try:
        url = f"https://127.0.0.1:{port}"
        read = {stem: (paths.pki / stem).read_bytes() for stem in ("ca.crt", "admin.crt", "admin.key")}
        made = kubeconfig.make("test", url, ca=read["ca.crt"], cert=read["admin.crt"], key=read["admin.key"])
        kubeconfig.write(paths.admin_kubeconfig, made)
        yield Loopback(paths.admin_kubeconfig, url, paths.pki)
    finally:
        stop()
        thread.join(_START_S)


class Kubectl:
    """Upstream's kubectl as the administrator. The test is skipped where there is none."""

    def __init__(self, config: Path, cache: Path) -> None:
        program = shutil.which("kubectl")
        if program is None:
            pytest.skip("kubectl is not installed")
        self._command = [program, f"--kubeconfig={config}", f"--cache-dir={cache}"]

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """What it printed, on stdout and then on stderr; it must end with `code`, or Failed is raised."""
        done = subprocess.run([*self._command, *arguments], input=stdin, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != code:
            raise Failed(f"{' '.join(arguments)}: ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr
