"""All pod workers of the node: made for pods the API shows, fed with their changes, swept of what nobody knows."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping

from steersman.cri.messages import Container
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.parts import Parts
from steersman.kubelet.view import NAME_LABEL, NAMESPACE_LABEL, PodView
from steersman.kubelet.worker import PodWorker, State
from steersman.machinery.meta import Key, Obj, condition, dig, key_of, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

SWEEP_FOLDERS_EVERY_S = 120.0
FIRST_RESIZE_RETRY_S, RESIZE_RETRY_EVERY_S = 30.0, 180.0


class PodWorkers:
    """`group`: where workers run. `parts` is set by run.py before the first pod arrives."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.by_uid: dict[str, PodWorker] = {}
        self.parts: Parts | None = None
        self.synced = False
        self._group = group
        self._swept_s = float("-inf")
        self._waiting: dict[Key, Obj] = {}
        self.static_changed: Callable[[], None] = lambda: None
        """Called when a static pod has begun, and when nothing of one is left."""

    def __iter__(self) -> Iterator[PodWorker]:
        return iter(list(self.by_uid.values()))

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of the pod with that name: the newest that is wanted, if another of the same name is still going (also one
        that was found on the node after the kubelet's start, and is nobody's)."""
        found = [each for each in self if name_of(each.pod) == name and namespace_of(each.pod) == namespace]
        return sorted(found, key=lambda each: each.wanted)[-1] if found else None

    def handle(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's change of a pod bound to this node."""
        if new is None:
            worker = self.by_uid.get(uid_of(old or {}))
            if worker is not None:
                worker.remove()
            return
        parts = self._ready()
        parts.statuses.observe(new)
        worker = self.by_uid.get(uid_of(new))
        if worker is not None:
            worker.update(new)
        else:
            self._begin(PodWorker(parts, new))

    def begin_static(self, pod: Obj) -> None:
        """A pod from the node's own files. If one of its name, or what was left of it, is still ending, it begins after that."""
        worker = self.by_uid.get(uid_of(pod))
        if worker is not None and worker.wanted:
            worker.update(pod)
            return
        parts = self._ready()
        self._waiting.pop(key_of(pod), None)
        if worker is not None or self.static_named(key_of(pod)):
            self._waiting[key_of(pod)] = pod
            return
        parts.statuses.expect(uid_of(pod))
        self._begin(PodWorker(parts, pod))
        self.static_changed()

    def end_static(self, uid: str) -> None:
        """The files have it no longer."""
        for key in [key for key, pod in self._waiting.items() if uid_of(pod) == uid]:
            del self._waiting[key]
        worker = self.by_uid.get(uid)
        if worker is not None:
            worker.remove()

    def static_named(self, key: Key) -> bool:
        """Whether a static pod of that name is running, or ending."""
        return any(pods.is_static(worker.pod) and key_of(worker.pod) == key for worker in self)

    def poke(self, uid: str) -> None:
        worker = self.by_uid.get(uid)
        if worker is not None:
            worker.poke()

    def probed(self, uid: str) -> None:
        """One of the pod's probes has settled."""
        worker = self.by_uid.get(uid)
        if worker is not None:
            worker.probed()

    def refresh(self, uid: str) -> None:
        """What the pod's volumes are made of has changed."""
        worker = self.by_uid.get(uid)
        if worker is not None:
            worker.refresh()

    def poke_all(self) -> None:
        for worker in self:
            worker.poke()

    def active(self, without: str) -> Iterator[Obj]:
        """Pods that hold resources of the node."""
        for worker in self:
            holds = worker.admitted and worker.state is not State.TERMINATED
            ended = pods.is_terminal_phase(worker.status.get("phase") or "") and not worker.view.running
            if worker.uid != without and holds and not ended:
                yield worker.allocated

    def running(self) -> Iterator[tuple[str, Container]]:
        """(pod uid, container) of what runs, as seen last."""
        for worker in self:
            for container in worker.view.running:
                yield worker.uid, container

    def living(self) -> set[str] | None:
        """Pods that have not ended; None while not all are known."""
        return {worker.uid for worker in self if worker.state is not State.TERMINATED} if self.synced else None

    def retry_resizes(self) -> None:
        """Let pods that ask for other resources have them, as far as there is room: who wants no more first, then by priority."""
        if any(not worker.admitted and worker.state is State.SYNC and worker.status.get("startTime") for worker in self):
            # The kubelet has just started: what such a pod holds is not counted yet. It calls again.
            return
        asking = [worker for worker in self if worker.admitted and worker.state is State.SYNC and worker.resize.wants(worker.pod)]
        for worker in sorted(asking, key=_resize_order):
            worker.try_resize()

    async def retry_resizes_forever(self) -> None:
        clock = self._ready().clock
        await clock.sleep(FIRST_RESIZE_RETRY_S)
        while True:
            self.retry_resizes()
            await clock.sleep(RESIZE_RETRY_EVERY_S)

    def _ready(self) -> Parts:
        if self.parts is None:
            raise RuntimeError("pod workers are fed before the kubelet is put together")
        return self.parts

    def _begin(self, worker: PodWorker) -> None:
        self.by_uid[worker.uid] = worker
        self._group.create_task(self._run(worker))

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            self.by_uid.pop(worker.uid, None)
        following = self._waiting.pop(key_of(worker.pod), None)
        if following is not None:
            self.begin_static(following)
        if pods.is_static(worker.pod):
            self.static_changed()

    # --- what nobody knows -----------------------------------------------------------------------------------------

    async def sweep(self, views: Mapping[str, PodView]) -> None:
        """Stop pods that run but are not in the API; remove folders, and with them cgroups, of pods that are gone."""
        if not self.synced:
            return
        parts = self._ready()
        for uid, view in views.items():
            if uid not in self.by_uid:
                log.info("pod runs but is not known, stopping it pod=%s", uid)
                orphan = PodWorker(parts, _pod_from(view))
                orphan.kill_orphan()
                self._begin(orphan)
        if parts.clock.monotonic() - self._swept_s >= SWEEP_FOLDERS_EVERY_S:
            self._swept_s = parts.clock.monotonic()
            await self._sweep_folders(parts, views)

    async def _sweep_folders(self, parts: Parts, views: Mapping[str, PodView]) -> None:
        folder = parts.config.root_dir / "pods"
        for uid in [path.name for path in folder.iterdir()] if folder.is_dir() else ():
            if uid not in self.by_uid and uid not in views:
                try:
                    await parts.volumes.tear_down(uid)
                    # Before the folder, which is the proof that the cgroup is ours.
                    parts.cgroups.remove_pod(uid)
                    parts.user_namespaces.release(uid)
                    _remove_logs(parts.config, uid)
                    parts.volumes.remove_pod_dir(uid)
                except OSError as error:
                    log.warning("orphaned pod folder not removed pod=%s error=%s", uid, error)


def _remove_logs(config: KubeletConfig, uid: str) -> None:
    """The logs of a pod of which no more is known than its UID."""
    for folder in config.pod_logs_dir.glob(f"*_{uid}"):
        shutil.rmtree(folder, ignore_errors=True)
        links = config.container_logs_dir.iterdir() if config.container_logs_dir is not None else ()
        for link in links:
            if link.is_symlink() and link.readlink().is_relative_to(folder):
                link.unlink(missing_ok=True)


def _resize_order(worker: PodWorker) -> tuple[bool, int, bool, str]:
    """Those that don't grow, the more important, Guaranteed ones, those that have waited longest."""
    pod = worker.pod
    pending = condition(worker.status.get("conditions"), "PodResizePending") or {}
    since = pending.get("lastTransitionTime") or "~"
    return worker.resize.grows(pod), -int(dig(pod, "spec", "priority", default=0)), pods.qos_class(pod) != "Guaranteed", since


def _pod_from(view: PodView) -> Obj:
    """What can be known of a pod from its runtime objects: enough to stop it and to find its files."""
    labels = view.sandbox.labels if view.sandbox is not None else view.containers[0].labels
    name, namespace = labels.get(NAME_LABEL, ""), labels.get(NAMESPACE_LABEL, "")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": view.uid},
        "spec": {"containers": []},
    }
