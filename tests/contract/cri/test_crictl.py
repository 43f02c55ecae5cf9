"""`steersman crictl` shows and does the same with every runtime: the native one behind its socket, and containerd."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.contract.cri.bench import LIMIT_S, Bench, shell
from tests.contract.cri.test_server import BehindSocket
from tests.fakes.containerd import Containerd

from steersman.cli.crictl import main, parser
from steersman.cri.interface import RuntimeFault
from steersman.cri.native.cgroups import Cgroups

pytestmark = pytest.mark.root

LABELS = {"io.kubernetes.pod.name": "pod", "io.kubernetes.pod.namespace": "default", "tier": "web"}


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """Cells of a table: columns are apart by at least three blanks."""
        return [re.split(r" {3,}", line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A bench, and crictl on its socket."""

    bench: Bench

    @property
    def socket(self) -> str:
        return self.bench.containerd.socket if self.bench.containerd else str(self.bench.root / "cri.sock")

    async def crictl(self, *words: str) -> Said:
        line = argparse.ArgumentParser()
        parser.configure(line)
        args, out, err = line.parse_args(words), io.StringIO(), io.StringIO()
        code = await main.run(args, self.socket, self.socket, self.bench.clock, out, err)
        return Said(code, out.getvalue(), err.getvalue())


Scenario = Callable[[Runtime], Awaitable[None]]


@pytest.fixture(params=["crun", "runc", "containerd"])
def run(request: pytest.FixtureRequest, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    if os.geteuid() or not shutil.which("crun") or not shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip("needs root, crun and runc")
    cgroup = f"steersman-test-{os.getpid()}-crictl"
    if request.param == "containerd":
        daemon: Containerd = request.getfixturevalue("containerd")
        bench = Bench("runc", tmp_path, busybox, cgroup, daemon)
    else:
        bench = BehindSocket(request.param, tmp_path, busybox, cgroup)

    async def story(scenario: Scenario) -> None:
        try:
            await asyncio.wait_for(scenario(Runtime(bench)), LIMIT_S)
        finally:
            await bench.remove_everything()
        assert await bench.leftovers() == []

    yield lambda scenario: asyncio.run(story(scenario))
    Cgroups().remove(f"/{cgroup}")


def test_pods_containers_and_images_are_listed_with_crictls_columns(run: Callable[[Scenario], None]) -> None:
    async def scenario(it: Runtime) -> None:
        bench = it.bench
        async with bench.runtime() as runtime:
            pod = bench.pod(labels=LABELS)
            sandbox, first = await bench.started(runtime, shell("sleep 100", name="first", labels=LABELS), pod)
            _, second = await bench.started(runtime, shell("exit 0", name="second", labels={}), pod)
            await bench.ended(runtime, second)

            header, row = (await it.crictl("pods")).rows
            assert header == ["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"]
            assert row[0] == sandbox[:13] and row[1].endswith(" ago") and row[2:] == ["Ready", "pod", "default", "0", "(default)"]

            header, row = (await it.crictl("ps")).rows
            assert header == ["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"]
            assert row[0] == first[:13] and row[3:] == ["Running", "first", "0", sandbox[:13], "pod", "default"]
            everything = (await it.crictl("ps", "-a")).rows[1:]
            assert [(cells[3], cells[4], cells[7]) for cells in everything] == [
                ("Exited", "second", "pod"),
                ("Running", "first", "pod"),
            ]

            header, *images = (await it.crictl("images")).rows
            assert header == ["IMAGE", "TAG", "IMAGE ID", "SIZE"]
            assert ["docker.io/library/busybox", "latest"] in [cells[:2] for cells in images]
            assert all(re.fullmatch(r"[0-9a-f]{13}", cells[2]) and re.fullmatch(r"[\d.]+[kM]?B", cells[3]) for cells in images)

            for words, ids in (
                (("-q",), [first]),
                (("-aq",), [second, first]),
                (("-q", "--state", "Exited"), [second]),
                (("-q", "--latest"), [second]),
                (("-q", "-n", "2"), [second, first]),
                (("-aq", "--name", "^sec"), [second]),
                (("-aq", "--label", "tier=web"), [first]),
                (("-aq", "--pod", sandbox[:10]), [second, first]),
                (("-aq", "--pod", "ffffffffffff0"), []),
                (("-aq", "--namespace", "kube-system"), []),
                (("-aq", "--id", first[:8]), [first]),
                (("-aq", "--image", "busybox"), [second, first]),
                (("-aq", "--image", "nginx"), []),
            ):
                assert (await it.crictl("ps", *words)).out.split() == ids, words
            assert (await it.crictl("pods", "-q", "--state", "NotReady")).out == ""
            assert (await it.crictl("pods", "-q", "--name", "^pod$", "--namespace", "def")).out.split() == [sandbox]

            shown = json.loads((await it.crictl("ps", "-o", "json")).out)["containers"]
            assert [(each["id"], each["state"], each["podSandboxId"]) for each in shown] == [
                (first, "CONTAINER_RUNNING", sandbox)
            ]
            assert isinstance(shown[0]["createdAt"], str)
            (found,) = yaml.safe_load((await it.crictl("pods", "-o", "yaml")).out)["items"]
            assert found["metadata"]["name"] == "pod" and found["state"] == "SANDBOX_READY"

    run(scenario)


def test_inspecting_tells_all_and_a_beginning_of_an_id_is_enough(run: Callable[[Scenario], None]) -> None:
    async def scenario(it: Runtime) -> None:
        bench = it.bench
        async with bench.runtime() as runtime:
            sandbox, container = await bench.started(runtime, shell("echo up; sleep 100"))
            await bench.written(1)

            async def shown(*words: str) -> Any:
                return json.loads((await it.crictl(*words)).out)

            found = await shown("inspect", container[:10])
            assert found["status"]["id"] == container and found["status"]["state"] == "CONTAINER_RUNNING"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", found["status"]["startedAt"])
            assert found["info"]["sandboxID"] == sandbox
            assert Path(f"/proc/{found['info']['pid']}/cmdline").read_bytes().replace(b"\0", b" ").endswith(b"sleep 100 ")
            found = await shown("inspectp", sandbox[:10])
            assert found["status"]["metadata"]["name"] == "pod" and found["info"]["pid"] > 0
            assert found["status"]["network"]["ip"] == "127.0.0.1"
            found = await shown("inspecti", "busybox")
            assert "docker.io/library/busybox:latest" in found["status"]["repoTags"]
            assert (await shown("inspecti", found["status"]["id"].removeprefix("sha256:")[:12]))["status"] == found["status"]
            conditions = {each["type"]: each["status"] for each in (await shown("info"))["status"]["conditions"]}
            assert conditions["RuntimeReady"] is True
            said = (await it.crictl("version")).out
            assert re.search(r"^RuntimeName:  (steersman|containerd)$", said, re.MULTILINE) and "RuntimeApiVersion:  v1\n" in said
            (disk,) = (await shown("imagefsinfo"))["status"]["imageFilesystems"]
            assert int(disk["usedBytes"]["value"] if isinstance(disk["usedBytes"], dict) else disk["usedBytes"]) >= 0
            with pytest.raises(RuntimeFault, match="container 'ffff' not found"):
                await it.crictl("inspect", "ffff")

    run(scenario)


def test_logs_commands_and_use_of_a_container(run: Callable[[Scenario], None]) -> None:
    async def scenario(it: Runtime) -> None:
        bench = it.bench
        async with bench.runtime() as runtime:
            script = "echo one; echo two >&2; echo three; while [ ! -e /end ]; do sleep 0.02; done; echo four"
            sandbox, container = await bench.started(runtime, shell(script))
            await bench.written(3)
            said = await it.crictl("logs", container[:12])
            assert (said.out, said.err) == ("one\nthree\n", "two\n")
            # Which of the two streams comes first is nobody's promise.
            for count in range(4):
                said = await it.crictl("logs", "--tail", str(count), container)
                assert len((said.out + said.err).splitlines()) == count
            assert re.match(r"\d{4}-\d\d-\d\dT\S+ one\n", (await it.crictl("logs", "-t", container)).out)

            said = await it.crictl("exec", container[:12], "sh", "-c", "echo out; echo err >&2; exit 5")
            assert said == Said(5, "out\n", "err\n")
            said = await it.crictl("exec", "--sync", container, "sh", "-c", "echo out; echo err >&2; exit 6")
            assert said == Said(6, "out\n", "err\n")
            assert (await it.crictl("exec", "-t", container, "tty")).out.strip() == "/dev/pts/0"

            header, row = (await it.crictl("stats", "--seconds", "0.1")).rows
            assert header == ["CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES", "SWAP"]
            assert row[:2] == [container[:13], "c"] and re.fullmatch(r"[\d.]+[kM]B", row[3])
            (stats,) = json.loads((await it.crictl("stats", "-o", "json")).out)["stats"]
            assert stats["attributes"]["id"] == container
            header, row = (await it.crictl("statsp", "--seconds", "0.1")).rows
            assert header == ["POD", "POD ID", "CPU %", "MEM"] and row[:2] == ["pod", sandbox[:13]]

            async with asyncio.TaskGroup() as group:
                following = group.create_task(it.crictl("logs", "-f", container))
                await it.crictl("exec", "-s", container, "touch", "/end")
            assert following.result().out == "one\nthree\nfour\n"

    run(scenario)


def test_stopping_and_removing(run: Callable[[Scenario], None]) -> None:
    async def scenario(it: Runtime) -> None:
        bench = it.bench
        async with bench.runtime() as runtime:
            sandbox, container = await bench.started(runtime, shell("sleep 100"))
            said = await it.crictl("rm", container[:12], "ffff")
            assert said.code == 1 and said.out == ""
            assert said.err.splitlines() == [
                f"steersman crictl: container '{container[:12]}' is running, please stop it first",
                "steersman crictl: container 'ffff' not found",
            ]
            assert await it.crictl("stop", container[:12]) == Said(0, f"{container[:12]}\n", "")
            assert await it.crictl("rm", container[:12]) == Said(0, f"{container[:12]}\n", "")
            assert (await it.crictl("ps", "-aq")).out == ""
            said = await it.crictl("rmp", sandbox[:12])
            assert said.code == 1 and "is running, please stop it first" in said.err
            assert await it.crictl("stopp", sandbox[:12]) == Said(0, f"Stopped sandbox {sandbox[:12]}\n", "")
            assert (await it.crictl("pods", "--state", "notready", "-q")).out.split() == [sandbox]
            assert await it.crictl("rmp", sandbox[:12]) == Said(0, f"Removed sandbox {sandbox[:12]}\n", "")
            await bench.started(runtime, shell("sleep 100"))
            assert (await it.crictl("rmp", "-af")).code == 0
            assert (await it.crictl("pods", "-q")).out == ""
            assert (await it.crictl("rmi", "nothing:here")).err == "steersman crictl: no such image 'nothing:here'\n"
            with pytest.raises(RuntimeFault, match="at least one ID is needed"):
                await it.crictl("stop")

    run(scenario)
