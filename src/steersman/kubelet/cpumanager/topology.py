"""How the machine's CPUs lie together, and which of them to take so that those taken do. Pure, but for `read`.

Source: upstream pkg/kubelet/cm/cpumanager/cpu_assignment.go (packed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steersman.kubelet.cpumanager.cpusets import CPUs, parse


@dataclass(frozen=True, slots=True)
class Where:
    """Of one CPU (a hardware thread). `core` is unique in the machine."""

    core: int
    socket: int
    numa: int


@dataclass(frozen=True, slots=True)
class Topology:
    where: Mapping[int, Where]

    @property
    def cpus(self) -> CPUs:
        return frozenset(self.where)

    @property
    def threads_per_core(self) -> int:
        return len(self.where) // max(len({each.core for each in self.where.values()}), 1)


class NotEnough(Exception):
    """Fewer CPUs are free than are wanted."""


def take(topology: Topology, free: CPUs, count: int) -> CPUs:
    """`count` of the free CPUs: whole sockets, whole NUMA nodes and whole cores first, then threads where least is left.

    What is taken from fills up before something else is begun. Raises NotEnough."""
    if count > len(free):
        raise NotEnough(f"not enough cpus available to satisfy request: requested={count}, available={len(free)}")
    where = topology.where
    kinds: list[Callable[[Where], int]] = [lambda at: at.socket, lambda at: at.numa]
    if len({each.numa for each in where.values()}) < len({each.socket for each in where.values()}):
        kinds.reverse()
    taken: frozenset[int] = frozenset()
    for kind in (*kinds, lambda at: at.core):
        members = _groups(topology, topology.cpus, kind)
        left = _groups(topology, free - taken, kind)
        for group in sorted(left, key=lambda each: _order(topology, free - taken, left[each])):
            whole = members[group] <= free - taken
            if whole and len(members[group]) <= count - len(taken):
                taken |= members[group]
    rest = free - taken
    singles = sorted(rest, key=lambda cpu: (*_order(topology, rest, frozenset((cpu,))), cpu))
    return taken | frozenset(singles[: count - len(taken)])


def _groups(topology: Topology, cpus: CPUs, kind: Callable[[Where], int]) -> dict[int, CPUs]:
    found: dict[int, set[int]] = {}
    for cpu in cpus:
        found.setdefault(kind(topology.where[cpu]), set()).add(cpu)
    return {group: frozenset(members) for group, members in found.items()}


def _order(topology: Topology, free: CPUs, cpus: CPUs) -> tuple[int, ...]:
    """Where little is free comes first: in the socket, the NUMA node, the core; then by number."""
    at = topology.where[min(cpus)]
    counts = [0, 0, 0]
    for cpu in free:
        other = topology.where[cpu]
        counts[0] += other.socket == at.socket
        counts[1] += other.numa == at.numa
        counts[2] += other.core == at.core
    return counts[0], at.socket, counts[1], at.numa, counts[2], at.core


def read(devices: Path = Path("/sys/devices/system")) -> Topology:
    """The machine's own. Raises OSError, ValueError."""
    nodes: dict[int, int] = {}
    for folder in (devices / "node").glob("node[0-9]*"):
        for cpu in parse((folder / "cpulist").read_text()):
            nodes[cpu] = int(folder.name.removeprefix("node"))
    found = {}
    for cpu in parse((devices / "cpu" / "online").read_text()):
        about = devices / "cpu" / f"cpu{cpu}" / "topology"
        # Core ids repeat in every socket: the first of its threads names a core.
        core = min(parse((about / "thread_siblings_list").read_text()))
        socket = max(int((about / "physical_package_id").read_text()), 0)
        found[cpu] = Where(core, socket, nodes.get(cpu, socket))
    return Topology(found)
