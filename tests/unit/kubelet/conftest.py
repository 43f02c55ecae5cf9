"""A kubelet on a fake node: a small API, a small runtime, virtual time."""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from steersman.client.interface import WatchEvent
from steersman.cri.interface import NotThere, RuntimeFault, Terminal, Tunnel
from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ContainerState,
    EventKind,
    ExecResult,
    Image,
    RegistryAuth,
    Resources,
    RuntimeEvent,
    Sandbox,
    SandboxConfig,
    SandboxState,
    Usage,
)  # fmt: skip
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.run import run
from steersman.kubelet.view import CONTAINER_LABEL
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, key_of, name_of, namespace_of


class FakeAPI:
    """Enough of client.interface.Client: objects in memory, watches, merge of status patches."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.version = itertools.count(1)
        self.objects: dict[str, dict[tuple[str, str], Obj]] = {}
        self.watchers: list[tuple[str, str, asyncio.Queue[WatchEvent]]] = []
        self.calls: list[tuple[str, str, str]] = []
        self.tokens = itertools.count(1)
        self.away = False
        """Nobody answers."""

    def _space(self, plural: str) -> dict[tuple[str, str], Obj]:
        return self.objects.setdefault(plural, {})

    def put(self, plural: str, obj: Obj) -> Obj:
        """Store and tell the watchers; also what a user's write does."""
        stored = copy.deepcopy(obj)
        stored.setdefault("metadata", {})["resourceVersion"] = str(next(self.version))
        stored["metadata"].setdefault("uid", f"uid-{plural}-{name_of(stored)}")
        kind = "MODIFIED" if key_of(stored) in self._space(plural) else "ADDED"
        self._space(plural)[key_of(stored)] = stored
        self._tell(plural, WatchEvent(kind, copy.deepcopy(stored)))
        return copy.deepcopy(stored)

    def drop(self, plural: str, namespace: str, name: str) -> None:
        gone = self._space(plural).pop((namespace, name))
        gone["metadata"]["resourceVersion"] = str(next(self.version))
        self._tell(plural, WatchEvent("DELETED", gone))

    def _tell(self, plural: str, event: WatchEvent) -> None:
        for watched, selector, queue in self.watchers:
            if watched == plural and _selected(event.object, selector):
                queue.put_nowait(event)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("connection refused")

    def pod(self, name: str = "web", namespace: str = "default") -> Obj:
        return self._space("pods")[namespace, name]

    def events(self) -> list[str]:
        """`reason: message` of recorded events, oldest first."""
        return [f"{event['reason']}: {event['message']}" for event in self._space("events").values()]

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "", resource_version: str = ""
    ) -> Obj:
        self._answer()
        self.calls.append(("get", resource.plural, name))
        found = self._space(resource.plural).get((namespace, name))
        if found is None:
            raise NotFound.of(resource.group, resource.plural, name)
        return copy.deepcopy(found)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> Obj:
        self._answer()
        items = [copy.deepcopy(obj) for obj in self._space(resource.plural).values() if _selected(obj, field_selector)]
        return {"items": items, "metadata": {"resourceVersion": str(next(self.version))}}

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        self._answer()
        self.calls.append(("create", subresource or resource.plural, name or name_of(obj)))
        if subresource == "token":
            return {**obj, "status": {"token": f"token-{next(self.tokens)}", "expirationTimestamp": "2026-01-01T01:00:00Z"}}
        if (namespace or namespace_of(obj), name_of(obj)) in self._space(resource.plural):
            raise AlreadyExists.of(resource.group, resource.plural, name_of(obj))
        return self.put(resource.plural, obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        return self.put(resource.plural, obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> Obj:
        assert isinstance(patch, dict)
        found = await self.get(resource, name, namespace)
        self.calls[-1] = ("patch", resource.plural, name)
        wanted_uid = dig(patch, "metadata", "uid")
        if wanted_uid not in (None, found["metadata"]["uid"]):
            raise Conflict.of(resource.group, resource.plural, name, "uid")
        status = found.setdefault("status", {})
        for key, value in (patch.get("status") or {}).items():
            if key == "conditions":
                changed = {item["type"]: item for item in value}
                kept = [changed.pop(item["type"], item) for item in status.get(key) or []]
                status[key] = [item for item in kept + list(changed.values()) if item.get("$patch") != "delete"]
            elif value is None:
                status.pop(key, None)
            elif isinstance(value, list):
                status[key] = [item for item in value if item != {"$patch": "replace"}]
            elif isinstance(value, dict):
                status[key] = {name: item for name, item in {**status.get(key, {}), **value}.items() if item is not None}
            else:
                status[key] = value
        return self.put(resource.plural, found)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> Obj:
        self._answer()
        self.calls.append(("delete", resource.plural, name))
        found = self._space(resource.plural).get((namespace, name))
        if found is None:
            raise NotFound.of(resource.group, resource.plural, name)
        if uid not in ("", found["metadata"]["uid"]):
            raise Conflict.of(resource.group, resource.plural, name, "uid")
        self.drop(resource.plural, namespace, name)
        return {}

    async def delete_collection(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Obj:
        raise AssertionError("a kubelet deletes no collections")

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_s: int = 0,
        bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        entry = (resource.plural, field_selector, queue)
        self.watchers.append(entry)
        try:
            while True:
                yield await queue.get()
        finally:
            self.watchers.remove(entry)

    async def raw(self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        raise AssertionError("a kubelet deletes no collections")


def _selected(obj: Obj, selector: str) -> bool:
    if not selector:
        return True
    path, _, wanted = selector.partition("=")
    return bool(dig(obj, *path.split(".")) == wanted)


@dataclass
class FakeRuntime:
    """Sandboxes and containers as records; `exit()` ends a container, `refuse` makes calls fail."""

    clock: VirtualClock
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    configs: dict[str, ContainerConfig] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    refuse: dict[str, RuntimeFault] = field(default_factory=dict)
    exec_results: dict[str, int] = field(default_factory=dict)
    stop_s: float = 0.0
    pod_cidr: str = ""
    maps_users: bool = True
    knows_strict_groups: bool = True
    pods: dict[str, SandboxConfig] = field(default_factory=dict)
    """The configurations of sandboxes."""
    memory_usage: int = 0
    listeners: list[asyncio.Queue[RuntimeEvent]] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def _note(self, what: str, key: str = "") -> None:
        self.log.append(f"{what} {key}".strip())
        for known in (what, f"{what} {key}"):
            if known in self.refuse:
                raise self.refuse[known]

    def _tell(self, kind: EventKind, item_id: str, uid: str) -> None:
        for queue in self.listeners:
            queue.put_nowait(RuntimeEvent(kind, item_id, uid))

    def named(self, name: str) -> Container:
        """The newest container of that name."""
        return [item for item in self.containers.values() if item.name == name][-1]

    def exit(self, name: str, code: int = 0) -> None:
        """The newest container of that name ends by itself."""
        self._end(self.named(name).id, code)

    def _end(self, container_id: str, code: int) -> None:
        found = self.containers[container_id]
        if found.state is ContainerState.EXITED:
            return
        reason = "Completed" if code == 0 else "Error"
        now = self.clock.now()
        self.containers[container_id] = replace(
            found, state=ContainerState.EXITED, exit_code=code, finished_at=now, reason=reason
        )
        self._tell(EventKind.STOPPED, container_id, self.sandboxes[found.sandbox_id].uid)

    async def version(self) -> tuple[str, str]:
        return "fake", "1.0"

    async def status(self) -> tuple[str, str]:
        return "", ("" if self.pod_cidr else "no pod range yet")

    def user_namespaces(self) -> bool:
        return self.maps_users

    def supplemental_groups_policy(self) -> bool:
        return self.knows_strict_groups

    async def update_runtime_config(self, pod_cidr: str) -> None:
        self.pod_cidr = pod_cidr

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        self._note("sandbox", config.name)
        number = next(self.numbers)
        made = Sandbox(
            id=f"s{number}", name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt,
            state=SandboxState.READY, created_at=self.clock.now(), network=config.network,
            ips=(f"10.244.0.{number}",) if config.network == "POD" else (), labels=config.labels, annotations={},
        )  # fmt: skip
        self.sandboxes[made.id], self.pods[made.id] = made, config
        return made.id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        self.log.append(f"stop sandbox {sandbox_id}")
        for item in list(self.containers.values()):
            if item.sandbox_id == sandbox_id:
                self._end(item.id, 137)
        self.sandboxes[sandbox_id] = replace(self.sandboxes[sandbox_id], state=SandboxState.NOT_READY)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        self.log.append(f"remove sandbox {sandbox_id}")
        self.containers = {key: item for key, item in self.containers.items() if item.sandbox_id != sandbox_id}
        self.sandboxes.pop(sandbox_id, None)

    async def pod_sandbox_status(self, sandbox_id: str) -> Sandbox:
        return self.sandboxes[sandbox_id]

    async def list_pod_sandboxes(self, *, pod_uid: str = "") -> list[Sandbox]:
        return [item for item in self.sandboxes.values() if pod_uid in ("", item.uid)]

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        self._note("create", config.name)
        made = Container(
            id=f"c{next(self.numbers)}", sandbox_id=sandbox_id, name=config.labels[CONTAINER_LABEL], attempt=config.attempt,
            state=ContainerState.CREATED, image=config.image_user_spec, image_ref=config.image,
            created_at=self.clock.now(), started_at=None, finished_at=None, exit_code=0, reason="", message="",
            labels=config.labels, annotations=config.annotations, log_path=f"{sandbox.log_directory}/{config.log_path}",
        )  # fmt: skip
        self.containers[made.id], self.configs[made.id] = made, config
        if Path(made.log_path).parent.is_dir():
            Path(made.log_path).touch()
        return made.id

    async def start_container(self, container_id: str) -> None:
        found = self.containers[container_id]
        self._note("start", found.name)
        self.containers[container_id] = replace(found, state=ContainerState.RUNNING, started_at=self.clock.now())
        self._tell(EventKind.STARTED, container_id, self.sandboxes[found.sandbox_id].uid)

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        if container_id not in self.containers:
            raise NotThere(container_id)
        self.log.append(f"stop {self.containers[container_id].name} {timeout_s:g}")
        await self.clock.sleep(min(self.stop_s, timeout_s))
        self._end(container_id, 137 if self.stop_s >= timeout_s else 0)

    async def remove_container(self, container_id: str) -> None:
        self.log.append(f"remove {self.containers[container_id].name}")
        del self.containers[container_id]

    async def container_status(self, container_id: str) -> Container:
        return self.containers[container_id]

    async def list_containers(self, *, pod_uid: str = "") -> list[Container]:
        return [item for item in self.containers.values() if pod_uid in ("", self.sandboxes[item.sandbox_id].uid)]

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        self._note("update", self.containers[container_id].name)
        self.configs[container_id] = replace(self.configs[container_id], resources=resources)

    async def reopen_container_log(self, container_id: str) -> None: ...

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        self._note("exec", " ".join(command))
        code = self.exec_results.get(" ".join(command), 0)
        return ExecResult(b"", b"no good" if code else b"", code)

    async def exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Terminal:
        raise AssertionError("a kubelet deletes no collections")

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> Terminal:
        raise AssertionError("a kubelet deletes no collections")

    async def port_forward(self, sandbox_id: str, port: int) -> Tunnel:
        raise AssertionError("a kubelet deletes no collections")

    async def container_stats(self, container_id: str) -> Usage:
        return Usage(self.clock.now(), memory_usage=self.memory_usage)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self.listeners.append(queue)
        while True:
            yield await queue.get()


class FakeImages:
    """Images by name; `missing` ones can be pulled unless `fault` says otherwise."""

    def __init__(self) -> None:
        self.present = {"busybox:1", "nginx:1"}
        self.pulled: list[str] = []
        self.fault: RuntimeFault | None = None

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        self.pulled.append(image)
        if self.fault is not None:
            raise self.fault
        self.present.add(image)
        return image

    async def image_status(self, image: str) -> Image | None:
        return Image(f"sha256:{image}", (image,), (), 1000, None, "") if image in self.present else None

    async def list_images(self) -> list[Image]:
        return [Image(f"sha256:{name}", (name,), (), 1000, None, "") for name in sorted(self.present)]

    async def remove_image(self, image: str) -> None:
        self.present.discard(image)

    async def image_fs(self) -> tuple[str, int, int]:
        return "/", 0, 0


class World:
    """The node under test."""

    def __init__(self, root: Path) -> None:
        self.clock = VirtualClock()
        self.api = FakeAPI(self.clock)
        self.runtime = FakeRuntime(self.clock)
        self.images = FakeImages()
        self.config = KubeletConfig(
            node_name="n1", root_dir=root / "kubelet", pod_logs_dir=root / "logs", container_logs_dir=root / "links",
            node_ip="192.168.0.5", enforce_cgroups=False, watch_resources=False, plugins=False, secrets_in_memory=False,
            cluster_dns=("10.96.0.10",), resolv_conf=root / "resolv.conf",
        )  # fmt: skip
        (root / "resolv.conf").write_text("nameserver 1.1.1.1\n")
        self.api.put("configmaps", {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "CA"}})

    @asynccontextmanager
    async def kubelet(self) -> AsyncIterator[None]:
        """A running kubelet on a Ready node; cancelled at the end."""
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            work = run(
                self.config, self.api, self.runtime, self.images, self.clock, rng=random.Random(1), ready=ready
            )  # fmt: skip
            task = group.create_task(work)
            await self.until(lambda: bool(self.api.objects.get("nodes")))
            node = self.api.objects["nodes"]["", "n1"]
            if "podCIDR" not in node["spec"]:
                self.api.put("nodes", {**node, "spec": {"podCIDR": "10.244.0.0/24"}})
            await self.until(ready.is_set)
            try:
                yield
            finally:
                task.cancel()

    async def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(300):
            await self.clock.sleep(0)

    async def until(self, holds: Callable[[], bool], limit_s: float = 120) -> None:
        """Let time pass until that is so."""
        for _ in range(int(limit_s * 10)):
            await self.settle()
            if holds():
                return
            await self.clock.advance(0.1)
        raise AssertionError("it never came to pass")

    def create(self, **spec: Any) -> Obj:
        """A pod `web`, bound to the node."""
        return self.api.put("pods", pod(**spec))

    def delete(self, grace_s: int = 30) -> None:
        """What the API server does on DELETE of pod `web`."""
        found = copy.deepcopy(self.api.pod())
        found["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": grace_s}
        self.api.put("pods", found)


def pod(name: str = "web", uid: str = "u1", containers: list[Obj] | None = None, **spec: Any) -> Obj:
    """A pod as the API shows it after binding."""
    plain = {"name": "app", "image": "busybox:1", "imagePullPolicy": "IfNotPresent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": uid, "generation": 1},
        "spec": {
            "nodeName": "n1", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "containers": containers or [plain], **spec,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
