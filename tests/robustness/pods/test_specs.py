"""Whatever a pod asks for that cannot be: it is told in upstream's terms, and its neighbours and the node are none the worse."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.alone import NODE, Alone
from tests.e2e.harness import eventually
from tests.robustness.pods.specs import CASES, FILES, HELLO, ODD, Case

from steersman.cluster import node
from steersman.cri.native import build
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj, condition, dig

pytestmark = pytest.mark.root

RISC_V = 243
SCRIPT = "echo runs; sleep 1000"


@pytest.fixture
def odd_image(cluster: Alone) -> Iterator[None]:
    """And the files that hostPaths lead to."""
    files = Path(FILES)
    (files / "links").mkdir(parents=True)
    (files / "file").touch()
    (files / "links" / "out").symlink_to("/etc")
    (files / "loop").symlink_to("loop")
    foreign = files / "foreign"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 2, RISC_V, 1, 0, 64, 0) + bytes(80))
    foreign.chmod(0o755)
    layer = build.Contents(
        copy={"odd/foreign": str(foreign)}, text={"odd/plain": "no program\n", "odd/script": "#!/no/such/interpreter\n"}
    )
    layers = [build.layer_tar(build.busybox_contents()), build.layer_tar(layer)]
    build.write_image(str(files / "odd.tar"), ODD, layers, {"Env": ["PATH=/bin"], "User": "nobody"})

    async def load() -> None:
        async with node.images(cluster.paths, cluster.settings, RealClock()) as images:
            await images.load(str(files / "odd.tar"))

    asyncio.run(load())
    yield
    shutil.rmtree(files)


def manifest(case: Case) -> Obj:
    command = ["sh", "-c", SCRIPT]
    main = {"name": "main", "image": HELLO, "imagePullPolicy": "Never", "command": command, **case.container}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [main], **case.pod}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": case.name}, "spec": spec}


def fault(case: Case, pod: Obj, events: list[Obj]) -> str:
    """What is not yet as the case has it."""
    status = pod["status"]
    state = dig(status, "containerStatuses", 0, "state", default=None) or {}
    if case.output:
        return "" if "running" in state else f"does not run: {state}"
    told = [it for it in events if it["reason"] == case.event[0] and case.event[1] in it["message"]]
    if not told:
        return f"no event {case.event}: {[(it['reason'], it['message']) for it in events]}"
    if case.reason:
        return "" if (status["phase"], status.get("reason")) == ("Failed", case.reason) else f"is {status}"
    waiting = state.get("waiting") or {}
    last = dig(status, "containerStatuses", 0, "lastState", "terminated", default=None) or {}
    # What failed to start waits for its next try under its own reason, and then as any that crashes.
    reasons = (case.waits, "CrashLoopBackOff") if case.waits == "RunContainerError" else (case.waits,)
    if waiting.get("reason") not in reasons:
        return f"is {state}"
    return "" if case.message in waiting.get("message", "") or case.message in last.get("message", "") else f"says {state} {last}"


def test_each_is_told_and_nobody_else_notices(cluster: Alone, odd_image: None) -> None:
    space = ("-n", "broken")
    cluster.kubectl("create", "namespace", "broken")
    eventually(lambda: cluster.get("serviceaccount", "default", *space))
    # A kernel with AppArmor would look for the profile.
    cases = [it for it in CASES if it.name != "apparmor" or not os.path.exists("/sys/module/apparmor")]
    cluster.kubectl("create", "configmap", "known", "--from-literal=a=b", *space)
    data = {name: base64.b64encode(value).decode() for name, value in (("bytes", b"\xff\xfe\nA"), ("zero", b"a\0b"))}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "known"}, "data": data}
    neighbour = manifest(Case("neighbour"))
    items = [secret, neighbour, *(manifest(case) for case in cases)]
    try:
        cluster.kubectl("create", *space, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        faults: dict[str, str] = {}

        def all_told() -> bool:
            events = cluster.get("events", *space)["items"]
            pods = {it["metadata"]["name"]: it for it in cluster.get("pods", *space)["items"]}
            faults.clear()
            for case in cases:
                own = [it for it in events if it["involvedObject"]["name"] == case.name]
                if found := fault(case, pods[case.name], own):
                    faults[case.name] = found
            return not faults

        try:
            eventually(all_told)
        except AssertionError:
            pytest.fail("\n".join(f"{name}: {found}" for name, found in faults.items()))
        assert not os.path.lexists("/etc/made-by-a-pod")
        assert cluster.kubectl("exec", *space, "neighbour", "--", "echo", "well") == "well\n"
        assert cluster.get("pod", "neighbour", *space)["status"]["containerStatuses"][0]["restartCount"] == 0
        assert (condition(cluster.get("node", NODE), "Ready") or {})["status"] == "True"
        assert "Traceback" not in cluster.parts["kubelet"].said
    finally:
        cluster.kubectl("delete", "namespace", "broken", "--wait=false")
    eventually(lambda: not cluster.get("pods", *space)["items"], what="all of them are gone")
