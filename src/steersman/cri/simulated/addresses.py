"""Addresses of simulated pods: counted through the node's range, so that one that was given back is not given again at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from steersman.cri.interface import RuntimeFault


class Addresses:
    """`range` is the node's pod CIDR, empty until it is known."""

    def __init__(self) -> None:
        self.range = ""
        self._left: Iterator[str] = iter(())
        self._taken: set[str] = set()

    def use(self, pod_cidr: str) -> None:
        if pod_cidr != self.range:
            self.range = pod_cidr
            self._left = _of(pod_cidr)

    def take(self) -> str:
        """Raises RuntimeFault if none is free."""
        for _ in range(2):
            for address in self._left:
                if address not in self._taken:
                    self._taken.add(address)
                    return address
            self._left = _of(self.range)
        raise RuntimeFault(f"no address is free in {self.range or 'a range that is not known yet'}")

    def give_back(self, addresses: Iterable[str]) -> None:
        self._taken.difference_update(addresses)


def _of(pod_cidr: str) -> Iterator[str]:
    """All but network, gateway and broadcast, in order. The first network, if there is one of each family."""
    if not pod_cidr:
        return iter(())
    network = ipaddress.ip_network(pod_cidr.partition(",")[0])
    first = int(network.network_address)
    return (str(ipaddress.ip_address(number)) for number in range(first + 2, first + network.num_addresses - 1))
