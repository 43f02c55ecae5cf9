"""What probes have found so far, by container id. Plain data: the pure parts read it, the probe workers write it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from steersman.cri.messages import Container, ContainerState
from steersman.machinery.meta import Obj


class Result(Enum):
    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class ProbeResults:
    """Last settled result (after thresholds) per container id."""

    liveness: dict[str, Result] = field(default_factory=dict)
    readiness: dict[str, Result] = field(default_factory=dict)
    startup: dict[str, Result] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Result]:
        """The table of `livenessProbe`, `readinessProbe` or `startupProbe`."""
        return {"livenessProbe": self.liveness, "readinessProbe": self.readiness, "startupProbe": self.startup}[kind]

    def started(self, spec: Obj, container: Container | None) -> bool:
        """Running, and its startup probe, if any, has succeeded."""
        if container is None or container.state is not ContainerState.RUNNING:
            return False
        return not spec.get("startupProbe") or self.startup.get(container.id) is Result.SUCCESS

    def ready(self, spec: Obj, container: Container | None) -> bool:
        """Running, started, and its readiness probe, if any, last succeeded."""
        if container is None or not self.started(spec, container):
            return False
        return not spec.get("readinessProbe") or self.readiness.get(container.id) is Result.SUCCESS

    def forget(self, container_id: str) -> None:
        for table in (self.liveness, self.readiness, self.startup):
            table.pop(container_id, None)
