"""Host-local addresses: which sandbox has which address of the node's range, kept as one small file per address.

Source: the CNI host-local plugin's behaviour: addresses are handed out round-robin, so that a freed one rests a while.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path


class NoAddress(Exception):
    """The node's range is used up; one sentence."""


class AddressPool:
    """Addresses of a pod CIDR. The network address, the first (the gateway) and the broadcast address are never given."""

    def __init__(self, directory: Path, cidr: str) -> None:
        self._directory = directory
        self.network = ipaddress.IPv4Network(cidr)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._owners = {file.name: file.read_text() for file in directory.iterdir() if not file.name.startswith((".", "last"))}
        last = directory / "last"
        self._last = int(last.read_text()) if last.exists() and last.read_text().isdigit() else 1

    @property
    def gateway(self) -> str:
        return str(self.network[1])

    def of(self, owner: str) -> str:
        """The owner's address, or ''."""
        return next((address for address, holder in self._owners.items() if holder == owner), "")

    def take(self, owner: str) -> str:
        """The owner's address, given now if it has none. Raises NoAddress."""
        held = self.of(owner)
        if held:
            return held
        size = self.network.num_addresses
        for step in range(1, size):
            offset = (self._last + step) % size
            address = str(self.network[offset])
            if 2 <= offset < size - 1 and address not in self._owners:
                self._write(address, owner)
                self._write("last", str(offset))
                self._last = offset
                self._owners[address] = owner
                return address
        raise NoAddress(f"no address is left in the node's pod range {self.network}: {len(self._owners)} are in use")

    def release(self, owner: str) -> None:
        address = self.of(owner)
        if address:
            (self._directory / address).unlink(missing_ok=True)
            del self._owners[address]

    def owners(self) -> set[str]:
        return set(self._owners.values())

    def _write(self, name: str, content: str) -> None:
        fresh = self._directory / f".{name}"
        fresh.write_text(content)
        os.replace(fresh, self._directory / name)
