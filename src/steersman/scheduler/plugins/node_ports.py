"""NodePorts: the host ports a pod wants must be free; 0.0.0.0 clashes with every address of the same protocol and port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steersman.machinery.meta import Obj, dig
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Reasons, always
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import HostPort, PodInfo, host_ports

_ANY = "0.0.0.0"


class NodePorts:
    name = "NodePorts"
    uses_pods = True

    def prepare(self, pod: PodInfo) -> Sequence[HostPort] | None:
        return pod.demand.ports or None

    def filter(self, needs: Sequence[HostPort], table: NodeTable, rows: Rows) -> Ints:
        codes = np.zeros(table.count, np.int64)
        for wanted in needs:
            # Only nodes where somebody uses that port at all: mostly none, never all.
            for row in table.rows_using_port(wanted.protocol, wanted.port):
                if any(clash(wanted, used) for used in table.ports_on(row)):
                    codes[row] = Code.UNSCHEDULABLE
        return codes[rows]

    def reasons(self, needs: Sequence[HostPort], table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) didn't have free ports for the requested pod ports": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {Happening.NODE_ADD: always, Happening.ASSIGNED_POD_DELETE: _frees_a_wanted_port}


def clash(one: HostPort, other: HostPort) -> bool:
    if (one.protocol, one.port) != (other.protocol, other.port):
        return False
    return one.ip == other.ip or _ANY in (one.ip, other.ip)


def _frees_a_wanted_port(pod: PodInfo, event: Event) -> bool:
    gone: Obj = dig(event.old, "spec", default={})
    freed = list(host_ports(gone))
    return any(clash(wanted, port) for wanted in pod.demand.ports for port in freed)
