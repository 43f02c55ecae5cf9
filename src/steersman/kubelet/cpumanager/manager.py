"""The CPU manager put together: pods are admitted with their CPUs, containers made with them, and the shared rest follows.

With the policy none it only sees to the file, so that a change of the policy is noticed. Deciding is in static.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container, Resources
from steersman.kubelet.admission import Rejection
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.cpumanager import checkpoint
from steersman.kubelet.cpumanager.checkpoint import BadState, State
from steersman.kubelet.cpumanager.cpusets import parse, show
from steersman.kubelet.cpumanager.static import Refused, StaticPolicy
from steersman.kubelet.cpumanager.topology import NotEnough, Topology, read, take
from steersman.kubelet.resources import amounts
from steersman.machinery import duration
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, uid_of
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)


class CPUManager:
    """Of one node. `policy` None: containers use whatever CPUs there are."""

    def __init__(self, config: KubeletConfig, policy: StaticPolicy | None, state: State) -> None:
        self._config, self._policy, self._state = config, policy, state
        self._path = config.root_dir / checkpoint.FILE
        self._changed = asyncio.Event()
        self._told: dict[str, str] = {}
        """container id -> the CPUs it was last confined to"""

    @property
    def state(self) -> State:
        return self._state

    @property
    def active(self) -> bool:
        """Whether there is anything to do for it."""
        return self._policy is not None

    def admit(self, pod: Obj) -> Rejection | None:
        """CPUs for the pod's containers, or why there are none. Raises OSError."""
        if self._policy is None:
            return None
        try:
            self._become(self._policy.allocate(self._state, pod))
        except Refused as error:
            return Rejection(error.reason, error.message)
        return None

    def adopt(self, pod: Obj) -> None:
        """A pod that was here before this kubelet; it has its CPUs, unless the file was lost. Raises OSError."""
        if rejection := self.admit(pod):
            log.warning("no CPUs of their own for a pod that runs pod=%s why=%s", uid_of(pod), rejection.message)

    def release(self, pod_uid: str) -> None:
        """The pod has ended. Raises OSError."""
        if self._policy is not None:
            self._become(self._policy.release(self._state, pod_uid))

    def owns(self, pod_uid: str) -> bool:
        """Whether some container of the pod has CPUs of its own."""
        return bool(self._state.assignments.get(pod_uid))

    def confine(self, pod: Obj, container: str, wanted: Resources) -> Resources:
        """A container's resources with the CPUs it may use. Those of its own need no quota: that would only throttle them."""
        if self._policy is None:
            return wanted
        own = self._state.assignments.get(uid_of(pod), {}).get(container)
        return (
            replace(wanted, cpuset_cpus=show(own), cpu_quota=0) if own else replace(wanted, cpuset_cpus=show(self._state.shared))
        )

    def _become(self, state: State) -> None:
        if state == self._state:
            return
        checkpoint.save(self._path, "static", state)
        self._state = state
        self._changed.set()

    async def run(
        self,
        runtime: Runtime,
        clock: Clock,
        running: Callable[[], Iterable[tuple[str, Container]]],
        living: Callable[[], set[str] | None],
    ) -> None:
        """Confine running containers to their CPUs, whenever those have changed, and every now and then.

        running: (pod uid, container). living: pods that have not ended; None: not known yet."""
        period_s = duration.parse_go(self._config.configuration["cpuManagerReconcilePeriod"])
        while True:
            self._changed.clear()
            uids = living()
            if uids is not None and self._policy is not None:
                try:
                    self._become(self._policy.keep_only(self._state, uids))
                except OSError as error:
                    log.warning("CPUs of pods that have ended are not free yet error=%s", error)
                self._changed.clear()
            await self._reconcile(runtime, list(running()))
            await within(clock, max(period_s, 1.0), self._changed.wait)

    async def _reconcile(self, runtime: Runtime, running: list[tuple[str, Container]]) -> None:
        self._told = {container.id: self._told.get(container.id, "") for _, container in running}
        for uid, container in running:
            cpus = show(self._state.assignments.get(uid, {}).get(container.name) or self._state.shared)
            if self._told[container.id] == cpus:
                continue
            try:
                await runtime.update_container_resources(container.id, Resources(cpuset_cpus=cpus))
                self._told[container.id] = cpus
            except RuntimeFault as error:
                log.warning("container not confined container=%s cpus=%s error=%s", container.id, cpus, error)


def start(config: KubeletConfig, topology: Callable[[], Topology] = read) -> CPUManager:
    """With what the file says. Raises BadState when that, or the configuration, can't be; OSError."""
    if not config.enforce_cgroups:
        return CPUManager(config, None, State())
    path = config.root_dir / checkpoint.FILE
    name = config.configuration["cpuManagerPolicy"]
    found = checkpoint.load(path, name)
    if name == "none":
        policy, state = None, found or State()
    else:
        policy = _static(config, topology())
        try:
            state = policy.begin(found)
        except BadState as error:
            text = f"static policy invalid state, please drain node and remove policy state file: {error}"
            raise BadState(text) from error
    if found != state:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, name, state)
    return CPUManager(config, policy, state)


def _static(config: KubeletConfig, topology: Topology) -> StaticPolicy:
    body = config.configuration
    options = body.get("cpuManagerPolicyOptions") or {}
    milli = sum(amounts(each).get("cpu", 0) for each in (config.kube_reserved, config.system_reserved))
    count = -(-milli // 1000)
    if not count:
        lead = "[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu"
        raise BadState(f"{lead} to be greater than zero")
    given = parse(body.get("reservedSystemCPUs") or "")
    try:
        reserved = given & topology.cpus if given else take(topology, topology.cpus, count)
    except NotEnough:
        reserved = frozenset()
    if len(reserved) != count:
        lead = "[cpumanager] unable to reserve the required amount of CPUs"
        raise BadState(f"{lead} (size of {show(given or reserved)} did not equal {count})")
    return StaticPolicy(
        topology,
        reserved,
        whole_cores=options.get("full-pcpus-only") == "true",
        strict=options.get("strict-cpu-reservation") == "true",
    )
