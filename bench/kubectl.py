"""Start-up of our kubectl beside the real one, on one API server: the whole of a command, as a shell sees it."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import servers
from bench.api import pod
from bench.report import Figure, Report
from steersman.api.resources import PODS, SERVICE_ACCOUNTS

_RUNS = 15
_PODS = 20


def measure(report: Report) -> None:
    if shutil.which("kubectl") is None:
        report.skip("kubectl", "there is no kubectl to compare with")
        return
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as directory,
        servers.api_server(Path(directory), servers.free_port()) as server,
    ):
        asyncio.run(_prepare(server))
        environment = {
            # With compiled modules, as an installation has them.
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(server.paths.state / "bytecode"),
            "KUBECONFIG": str(server.paths.kubeconfigs / "admin.conf"),
            "KUBECACHEDIR": str(server.paths.state / "cache"),
        }
        ours = [str(Path(sys.executable).with_name("steersman")), "kubectl"]
        # The kubeconfig names an address of documentation.
        for words, flags in ((["version", "--client"], []), (["get", "pods"], [f"--server={server.url}"])):
            _took([*ours, *words, *flags], environment)
            # In turn, so that a busy moment of the machine meets both.
            times = [
                (_took(["kubectl", *words, *flags], environment), _took([*ours, *words, *flags], environment))
                for _ in range(_RUNS)
            ]
            theirs_s, ours_s = (statistics.median(column) for column in zip(*times))
            report.add(Figure(f"kubectl {' '.join(words)}", ours_s, "s", theirs_s, "upstream's kubectl", goal="0.1 s"))
            report.add(Figure("... at best", min(ours for _, ours in times), "s", min(theirs for theirs, _ in times)))


async def _prepare(server: servers.Running) -> None:
    async with server.client() as client:
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "bench", "namespace": "default"}})
        for number in range(_PODS):
            await client.create(PODS, pod(f"pod-{number}"), "default")


def _took(command: Sequence[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin
