"""The static pods of the node: what the sources hold, given to the pod workers. Who reads differently replaces the old self.

Source: upstream pkg/kubelet/config/config.go (merging of sources).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import Recorder
from steersman.kubelet.workers import PodWorkers
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Key, Obj, key_of, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from steersman.kubelet.staticpods.sources import Directory, Url

log = logging.getLogger(__name__)


class StaticPods:
    """`run` until cancelled. `pods`: those that are to run, by uid."""

    def __init__(self, config: KubeletConfig, clock: Clock, recorder: Recorder, workers: PodWorkers) -> None:
        self.pods: dict[str, Obj] = {}
        self._config, self._recorder, self._workers = config, recorder, workers
        self._directory: Directory | None = None
        self._url: Url | None = None
        self._doubled: set[str] = set()
        self._changed: Callable[[], None] = lambda: None
        self._scanned = False
        if config.static_pod_path is None and not config.static_pod_url:
            return
        # Reading manifests takes what the API server knows of pods: a node without any shall not pay for that.
        from steersman.kubelet.staticpods.sources import Directory, Url

        node = config.node_name
        if config.static_pod_path is not None:
            every_s = config.file_check_frequency_s
            self._directory = Directory(config.static_pod_path, every_s, node, clock, self._complain)
        if config.static_pod_url:
            headers, every_s = config.static_pod_url_headers, config.http_check_frequency_s
            self._url = Url(config.static_pod_url, headers, every_s, node, clock, self._complain)

    @property
    def complete(self) -> bool:
        """Every source has been read: what it does not hold is no static pod of this node."""
        return (self._directory is None or self._scanned) and (self._url is None or self._url.answered)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Read what there is, and follow it from now on."""
        if self._directory is not None:
            self._directory.scan()
            self._scanned = True
            group.create_task(self._directory.run(self._merge))
        if self._url is not None:
            group.create_task(self._url.run(self._merge))
        self._merge()

    def _complain(self, place: str, why: str) -> None:
        log.warning("static pod manifest not used path=%s error=%s", place, why)
        name = self._config.node_name
        # There may be no Node yet. Upstream's events about nodes have the name as UID, too.
        node: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
        self._recorder.event(node, "Warning", "FailedValidation", f"Static pod manifest {place} is not used: {why}")

    def _sources(self) -> Iterable[Obj]:
        if self._directory is not None:
            yield from self._directory.pods
        if self._url is not None:
            yield from self._url.pods

    def _merge(self) -> None:
        """What is there now against what runs."""
        wanted: dict[str, Obj] = {}
        names: set[Key] = set()
        doubled: set[str] = set()
        for pod in self._sources():
            uid = uid_of(pod)
            if key_of(pod) in names or uid in wanted:
                doubled.add(uid)
                if uid not in self._doubled:
                    log.warning("static pod has the name of another, ignored pod=%s/%s", namespace_of(pod), name_of(pod))
                    text = f"Error validating pod {name_of(pod)}.{namespace_of(pod)}, ignoring: duplicate pod name"
                    self._recorder.event(pod, "Warning", "FailedValidation", text)
                continue
            names.add(key_of(pod))
            wanted[uid] = pod
        self._doubled = doubled
        for uid in self.pods.keys() - wanted.keys():
            log.info("static pod is no longer wanted pod=%s", uid)
            self._workers.end_static(uid)
        for uid, pod in wanted.items():
            if self.pods.get(uid) is not pod:
                self._workers.begin_static(pod)
        if wanted.keys() != self.pods.keys():
            self.pods = wanted
            self._changed()
        self.pods = wanted

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when there are other static pods than before."""
        self._changed = changed
