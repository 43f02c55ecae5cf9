"""One pod's resize: from what its spec asks for, over what the node allocates, to what is in force.

worker.py asks `wants`; workers.py decides, when there is room, and calls `accept` or `refuse`; actuate.py carries it out.
Source: upstream pkg/kubelet/allocation, events/resize.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from steersman.kubelet import pods
from steersman.kubelet.kit import Recorder
from steersman.kubelet.resize.amounts import POD, Allocation, applied, changed, increases, of_pod, of_resources, same
from steersman.kubelet.resize.record import Record
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj, dig

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
DEFERRED, INFEASIBLE, ERROR = "Deferred", "Infeasible", "Error"


class PodResize:
    """`conditions`: what the pod's status has to say of it, without times."""

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self._record, self._recorder = Record(folder), recorder
        self.allocated: Allocation | None = None
        self._actuated: Allocation = {}
        self._seen_generation: int | None = None
        self._pending: Obj | None = None
        self._progress: Obj | None = None
        self._shown: tuple[Obj, Allocation, Obj] | None = None
        self.due = False
        """Something accepted may not be in force everywhere yet."""

    # --- allocating ------------------------------------------------------------------------------------------------

    def begin(self, pod: Obj, *, fresh: bool) -> None:
        """The node takes the pod: `fresh`, or it was here before this kubelet started. Raises OSError."""
        known = None if fresh else self._record.load()
        self.allocated, self._actuated = known or (of_pod(pod), {})
        if known is None:
            self._record.save(self.allocated, {})

    def wants(self, pod: Obj) -> bool:
        """Whether the pod asks for something else than it is allocated."""
        generation = dig(pod, "metadata", "generation", default=0)
        if self.allocated is None or (generation == self._seen_generation and self._pending is None):
            return False
        if same(of_pod(pod), self.allocated):
            # Spelled differently, or taken back: there is nothing to wait for any more.
            self._seen_generation, self._pending = generation, None
            return False
        return True

    def grows(self, pod: Obj) -> bool:
        return increases(of_pod(pod), self.allocated or {})

    def accept(self, pod: Obj, view: PodView) -> None:
        """From now on the node counts with it. Raises OSError."""
        for container in view.running:
            self._actuated.setdefault(container.name, (self.allocated or {}).get(container.name, {}))
        if POD in (before := self.allocated or {}) or POD in of_pod(pod):
            self._actuated.setdefault(POD, before.get(POD, {}))
        allocated = of_pod(pod)
        self._record.save(allocated, self._actuated)
        self.allocated, self._pending, self.due = allocated, None, True
        self._seen_generation = dig(pod, "metadata", "generation", default=0)
        if self.unsettled(view):
            generation = dig(pod, "metadata", "generation", default=0)
            self._progress = {"type": IN_PROGRESS, "observedGeneration": generation}
            self._event(pod, "Normal", "ResizeStarted", "Pod resize started")

    def refuse(self, pod: Obj, reason: str, message: str) -> bool:
        """Not now (Deferred), or never on this node (Infeasible). Whether that is news."""
        generation = dig(pod, "metadata", "generation", default=0)
        now = {"type": PENDING, "reason": reason, "message": message, "observedGeneration": generation}
        if self._pending is None or any(now[key] != self._pending.get(key) for key in ("reason", "observedGeneration")):
            self._event(pod, "Warning", f"Resize{reason}", f"Pod resize {reason.lower()}", message)
        news, self._pending, self._seen_generation = now != self._pending, now, generation
        return news

    def pod(self, pod: Obj) -> Obj:
        """The pod with what it is allocated: the one that is to be brought about."""
        if self.allocated is None:
            return pod
        if self._shown is None or self._shown[0] is not pod or self._shown[1] is not self.allocated:
            self._shown = pod, self.allocated, applied(pod, self.allocated)
        return self._shown[2]

    # --- in force --------------------------------------------------------------------------------------------------

    def in_force(self, name: str) -> Obj | None:
        """The cpu and memory that a container runs with; None: what it is allocated."""
        return self._actuated.get(name)

    @property
    def actuated(self) -> Mapping[str, Obj]:
        return self._actuated

    def started(self, spec: Obj) -> None:
        """A container has been started as this says. Raises OSError."""
        self.actuate(spec["name"], of_resources(spec.get("resources")))

    def actuate(self, name: str, amounts: Obj) -> None:
        """A container's cpu and memory are these now. Raises OSError."""
        if self.allocated is None:
            return
        if amounts == self.allocated.get(name, {}):
            self._actuated.pop(name, None)
        else:
            self._actuated[name] = amounts
        self._record.save(self.allocated, self._actuated)

    def unsettled(self, view: PodView) -> dict[str, set[str]]:
        """Running containers, and the pod itself, that have something else than allocated: name -> which resources."""
        if not self._actuated or self.allocated is None:
            return {}
        running = {container.name for container in view.running}
        return {
            name: different
            for name, amounts in self._actuated.items()
            if (name == POD or name in running) and (different := changed(self.allocated.get(name), amounts))
        }

    def restarts(self, pod: Obj, view: PodView) -> frozenset[str]:
        """Containers that must be restarted for it, as their resizePolicy says."""
        found = []
        for name, different in self.unsettled(view).items():
            policies = (pods.find_container(pod, name) or {}).get("resizePolicy") or ()
            if any(each["resourceName"] in different and each["restartPolicy"] == "RestartContainer" for each in policies):
                found.append(name)
        return frozenset(found)

    def failed(self, pod: Obj, message: str) -> None:
        """It could not be carried out; it will be tried again."""
        progress = self._progress or {"type": IN_PROGRESS}
        if progress.get("message") != message:
            self._event(pod, "Warning", "ResizeError", "Pod resize error", message)
        self._progress = {**progress, "reason": ERROR, "message": message}

    def settled(self, pod: Obj) -> None:
        """All that runs has what it is allocated."""
        self.due = False
        if self._progress is not None:
            self._progress = None
            self._event(pod, "Normal", "ResizeCompleted", "Pod resize completed")

    @property
    def pending(self) -> Obj | None:
        return self._pending

    @property
    def conditions(self) -> list[Obj]:
        return [each for each in (self._pending, self._progress) if each is not None]

    def resume(self, pod: Obj, view: PodView) -> None:
        """After a restart of the kubelet: what was in the middle still is."""
        if self._progress is None and self.unsettled(view):
            self.due = True
            generation = dig(pod, "metadata", "generation", default=0)
            self._progress = {"type": IN_PROGRESS, "observedGeneration": generation}

    def _event(self, pod: Obj, kind: str, reason: str, lead: str, error: str = "") -> None:
        made: Obj = {}
        for key in ("initContainers", "containers"):
            listed = dig(pod, "spec", key, default=None) or ()
            if shown := [{"name": item["name"], "resources": item.get("resources") or {}} for item in listed]:
                made[key] = shown
        made["generation"] = dig(pod, "metadata", "generation", default=0)
        if error:
            made["error"] = error
        self._recorder.event(pod, kind, reason, f"{lead}: {json.dumps(made, separators=(',', ':'))}")
