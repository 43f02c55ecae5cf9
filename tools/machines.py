"""Several machines on one: network namespaces, plugged into a bridge that is in a namespace of its own.

Each machine has an interface with an address of a documentation range (RFC 5737), a state directory, and thereby cgroups of its
own; the kernel, processes and mounts are the machine's that all this runs on. docs/nodes.md does the same by hand.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

from tools.throwaway import Cluster, Namespace

NETWORK = "198.51.100"


def _run(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)


class Lan(Namespace):
    """The network between machines."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        _run(f"ip netns add {name}", f"ip -n {name} link add br0 type bridge", f"ip -n {name} link set br0 up")

    def cut(self, machine: Machine) -> None:
        """Pull a machine's plug: it goes on, but hears nobody and is heard by nobody."""
        _run(f"ip -n {self.name} link set {machine.plug} down")

    def mend(self, machine: Machine) -> None:
        _run(f"ip -n {self.name} link set {machine.plug} up")


class _Plugged(Namespace):
    """A machine's network namespace."""

    def __init__(self, lan: Lan, name: str, address: str, plug: str) -> None:
        super().__init__(name)
        _run(
            f"ip netns add {name}",
            f"ip -n {name} link set lo up",
            f"ip -n {name} link add eth0 type veth peer name {plug} netns {lan.name}",
            f"ip -n {lan.name} link set {plug} master br0 up",
            f"ip -n {name} addr add {address}/24 dev eth0",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} route add default dev eth0",
        )


class Machine(Cluster):
    """One of several: it makes the cluster (`up`) or joins it."""

    def __init__(self, lan: Lan, number: int) -> None:
        self.name, self.plug = f"node-{number}", f"plug{number}"
        self.address = f"{NETWORK}.{number}"
        super().__init__(f"{lan.name}-{number}", _Plugged(lan, f"{lan.name}-{number}", self.address, self.plug))

    def join(self, command: str, *more: str, code: int | None = 0) -> str:
        """Run what `steersman token create` printed there."""
        return self.steersman(*command.split()[1:], *more, code=code)


class Machines:
    """A network with so many machines, numbered from 1."""

    def __init__(self, name: str, count: int) -> None:
        self.lan = Lan(name)
        self._machines = [Machine(self.lan, number) for number in range(1, count + 1)]

    def __getitem__(self, number: int) -> Machine:
        return self._machines[number - 1]

    def remove(self) -> None:
        """Everything, the joined ones first."""
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(Machine.remove, self._machines[1:]))
            self._machines[0].remove()
        finally:
            self.lan.delete()
