"""Pods through the API, timed by a client inside the cluster's network namespace: `python -m bench.pods STATE_DIR`.

Prints one line of JSON for bench/cluster.py. Not here: making the cluster and removing it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from steersman.api.resources import PODS
from steersman.client.rest import RestClient
from steersman.cluster.process import client_for
from steersman.cluster.procs import pss
from steersman.machinery.meta import Obj, name_of

_IMAGE = "steersman.example/hello:1"
_SINGLE, _MANY, _EXECS = 10, 50, 10
_PATIENCE_S = 120.0


def main() -> int:
    state = Path(sys.argv[1])
    found = asyncio.run(_measure(state))
    print(json.dumps(found))
    return 0


async def _measure(state: Path) -> dict[str, Any]:
    async with client_for(state / "kubeconfig" / "admin.conf", "bench") as client:
        await created(client, ["warm"])
        found: dict[str, Any] = {"exec_s": await _execs(state, "warm"), "bare_exec_s": _bare_exec_s(state)}
        await deleted(client, ["warm"])
        found["single_s"] = [await created(client, [f"one-{number}"]) for number in range(_SINGLE)]
        await deleted(client, [f"one-{number}" for number in range(_SINGLE)])
        # Right beside what it is a baseline of: others use the machine, and not always as much.
        found["bare_s"] = bare_container_s()
        names = [f"many-{number}" for number in range(_MANY)]
        before = parts_bytes(state)
        found["many_up_s"] = await created(client, names)
        grown = max(0, parts_bytes(state) - before)
        found["pod_mb"] = (helper_bytes(state) + grown) / _MANY / 1e6
        found["many_down_s"] = await deleted(client, names)
    return found


def pod(name: str) -> Obj:
    """A container that sleeps, and ends when it is told to."""
    container = {
        "name": "app",
        "image": _IMAGE,
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}


async def created(client: RestClient, names: list[str]) -> float:
    """Seconds from the first create until a watch has shown every one Running."""

    async def create() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(client.create(PODS, pod(name)))

    return await until(client, set(names), create, lambda type_, obj: obj["status"].get("phase") == "Running")


async def deleted(client: RestClient, names: list[str]) -> float:
    async def delete() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(client.delete(PODS, name, "default"))

    return await until(client, set(names), delete, lambda type_, _obj: type_ == "DELETED")


async def until(
    client: RestClient, names: set[str], act: Callable[[], Awaitable[None]], reached: Callable[[str, Obj], bool]
) -> float:
    listed = await client.list(PODS, "default")
    version = str(listed["metadata"]["resourceVersion"])
    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
        begin = time.perf_counter()
        group.create_task(_awaited(act))
        async for event in client.watch(PODS, "default", resource_version=version):
            if reached(event.type, event.object):
                names.discard(name_of(event.object))
            if not names:
                return time.perf_counter() - begin
    raise RuntimeError(f"never seen: {sorted(names)}")


async def _awaited(act: Callable[[], Awaitable[None]]) -> None:
    await act()


async def _execs(state: Path, name: str) -> list[float]:
    """Seconds from opening a WebSocket to the command's exit status, as kubectl does it."""
    pki = state / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    url = f"https://127.0.0.1:6443/api/v1/namespaces/default/pods/{name}/exec?command=true&stdout=true"
    taken = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for _ in range(_EXECS):
            begin = time.perf_counter()
            async with session.ws_connect(url, protocols=("v5.channel.k8s.io",)) as socket:
                async for message in socket:
                    if message.data[:1] == b"\x03" and b"Success" in message.data:
                        taken.append(time.perf_counter() - begin)
                        break
    if len(taken) != _EXECS:
        raise RuntimeError("exec did not say Success")
    return taken


def _bare_exec_s(state: Path) -> float:
    """The same command entered into the same container by the runtime's own program."""
    oci = state / "run" / "containers" / "oci"
    container = next(path.name for path in oci.iterdir() if (path / "status").exists())
    return statistics.median(_ran_s("crun", f"--root={oci}", "exec", container, "true") for _ in range(_EXECS))


def bare_container_s() -> float:
    """Starting one container from a plain directory: no image, no network, no log."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RuntimeError("busybox is not installed: apt-get install busybox-static")
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(directory)
        (bundle / "rootfs" / "bin").mkdir(parents=True)
        shutil.copy(busybox, bundle / "rootfs" / "bin" / "true")
        subprocess.run(["crun", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["/bin/true"]}
        (bundle / "config.json").write_text(json.dumps(config))
        command = ["crun", "--cgroup-manager=cgroupfs", f"--root={bundle}/state", "run", "-b", str(bundle)]
        return statistics.median(_ran_s(*command, f"stm-bench-{number}") for number in range(_EXECS))


def _ran_s(*command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begin


def parts_bytes(state: Path) -> int:
    """PSS of the cluster's own processes."""
    return sum(pss(int(file.read_text() or 0)) for file in (state / "run").glob("*.pid"))


def helper_bytes(state: Path) -> int:
    """PSS of what each pod needs besides its own processes: the programs that name the run directory, and the pauses."""
    mark = f"{state}/run/containers".encode()
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if mark in command or command.split(b"\0")[0].endswith(b"pause"):
            total += pss(int(entry.name))
    return total


if __name__ == "__main__":
    sys.exit(main())
