"""The static policy: which containers get CPUs of their own, and which CPUs. Pure: states in, states out.

Source: upstream pkg/kubelet/cm/cpumanager/policy_static.go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from steersman.kubelet import pods
from steersman.kubelet.cpumanager.checkpoint import BadState, State
from steersman.kubelet.cpumanager.cpusets import CPUs, show
from steersman.kubelet.cpumanager.topology import NotEnough, Topology, take
from steersman.kubelet.resources import amounts
from steersman.machinery.meta import Obj, dig, uid_of


class Refused(Exception):
    """The pod can't be had; reason and message for its status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class StaticPolicy:
    """`reserved`: CPUs that are nobody's own. whole_cores: full-pcpus-only. strict: strict-cpu-reservation, the reserved ones are
    not even shared."""

    topology: Topology
    reserved: CPUs
    whole_cores: bool = False
    strict: bool = False

    def begin(self, state: State | None) -> State:
        """What to go on from. Raises BadState for one that can't be of this machine and configuration."""
        usable = self.topology.cpus - self.reserved if self.strict else self.topology.cpus
        if state is None or (not state.shared and not state.assignments):
            return State(usable)
        owned: CPUs = frozenset()
        for pod, containers in state.assignments.items():
            for name, cpus in containers.items():
                owned |= cpus
                if cpus & state.shared:
                    text = f'pod: {pod}, container: {name} cpuset: "{show(cpus)}" overlaps with default cpuset'
                    raise BadState(f'{text} "{show(state.shared)}"')
        if not state.shared:
            raise BadState("default cpuset cannot be empty")
        if self.strict and self.reserved & state.shared:
            text = f'some of strictly reserved cpus: "{show(self.reserved & state.shared)}" are present in defaultCpuSet'
            raise BadState(f'{text}: "{show(state.shared)}"')
        if not self.strict and not self.reserved <= state.shared:
            text = f'not all reserved cpus: "{show(self.reserved)}" are present in defaultCpuSet'
            raise BadState(f'{text}: "{show(state.shared)}"')
        if state.shared | owned != usable:
            text = f'current set of available CPUs "{show(usable)}" doesn\'t match with CPUs in state'
            raise BadState(f'{text} "{show(state.shared | owned)}"')
        return state

    def allocate(self, state: State, pod: Obj) -> State:
        """CPUs for every container of the pod that is to have its own. Raises Refused; then nothing has changed."""
        reusable: CPUs = frozenset()
        uid = uid_of(pod)
        for spec in [*pods.init_containers(pod), *pods.containers(pod)]:
            count = exclusive(pod, spec)
            if not count:
                continue
            threads = self.topology.threads_per_core
            if self.whole_cores and count % threads:
                text = f"SMT Alignment Error: requested {count} cpus not multiple cpus per core = {threads}"
                raise Refused("SMTAlignmentError", text)
            own = dict(state.assignments.get(uid, {}))
            cpus = own.get(spec["name"])
            if cpus is None:
                try:
                    cpus = take(self.topology, (state.shared - self.reserved) | reusable, count)
                except NotEnough as error:
                    text = f"Allocate failed due to {error}, which is unexpected"
                    raise Refused("UnexpectedAdmissionError", text) from error
                own[spec["name"]] = cpus
                state = State(state.shared - cpus, {**state.assignments, uid: own})
            # An init container has ended when the others begin, unless it is one that stays.
            ends = any(spec is each and not pods.is_sidecar(each) for each in pods.init_containers(pod))
            reusable = reusable | cpus if ends else reusable - cpus
        return state

    def release(self, state: State, pod_uid: str) -> State:
        """The pod has ended."""
        freed = frozenset().union(*state.assignments.get(pod_uid, {}).values())
        left = {uid: containers for uid, containers in state.assignments.items() if uid != pod_uid}
        return State(state.shared | freed, left)

    def keep_only(self, state: State, pod_uids: Collection[str]) -> State:
        """Pods that ended while nobody looked."""
        for uid in [each for each in state.assignments if each not in pod_uids]:
            state = self.release(state, uid)
        return state


def exclusive(pod: Obj, spec: Obj) -> int:
    """How many CPUs of its own a container gets: Guaranteed, and a whole number of them."""
    if pods.qos_class(pod) != "Guaranteed":
        return 0
    listed = dig(spec, "resources", "requests", default=None) or dig(spec, "resources", "limits", default=None)
    milli = amounts(listed).get("cpu", 0)
    return milli // 1000 if milli % 1000 == 0 else 0
