"""The pod network of a node whose runtime wires pods by itself, by CNI: the configuration it does that by.

A veth pair per pod, routed by the host (`ptp`), addresses of the node's range (`host-local`), host ports (`portmap`): the
programs are Debian's containernetworking-plugins. Pods are routed, not bridged, for the reason that links.py gives. What leaves
the cluster is masqueraded by our own table, firewall.py. A directory that holds somebody else's configuration (Calico's,
Cilium's) is left to them, and so is everything else here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from steersman.network import firewall, overlay
from steersman.network.rtnetlink import Netlink

log = logging.getLogger(__name__)

DEFAULT_CONF_DIR = "/etc/cni/net.d"
FILE = "10-steersman.conflist"
NETWORK = "steersman"
PLUGINS = ("host-local", "loopback", "portmap", "ptp")
_KINDS = (".conf", ".conflist", ".json")
_HOST_ENDS = "veth*"
"""What ptp calls the host's ends of its pairs, as nft matches interfaces."""


class CniNetwork:
    """One per node, whose own address is `address`. `directory`: for addresses in use, and for a note where the configuration
    was written.
    """

    def __init__(self, directory: Path, cluster_cidr: str, address: str = "") -> None:
        self._directory, self._cluster_cidr, self._address = directory, cluster_cidr, address
        self._fault = "the node has no pod CIDR yet"
        self._given: tuple[str, Path, str] | None = None
        self._others = False

    async def set_pod_cidr(self, pod_cidr: str, conf_dir: str, bin_dir: str) -> None:
        """Raises OSError."""
        self._given = pod_cidr, Path(conf_dir or DEFAULT_CONF_DIR), bin_dir
        await self._agree()

    async def ready(self) -> str:
        """Looks at the directory as well: others put their configuration there, or take it away, at any time."""
        if self._given is not None and self._is_stale(self._given[1]):
            with contextlib.suppress(OSError):
                await self._agree()
        return self._fault

    def _is_stale(self, conf_dir: Path) -> bool:
        others = bool(foreign(conf_dir))
        return others != self._others or not (others or (conf_dir / FILE).exists())

    async def _agree(self) -> None:
        assert self._given is not None
        try:
            await asyncio.to_thread(self._set_up, *self._given)
        except OSError as error:
            self._fault = str(error)
            raise
        self._fault = ""

    async def remove(self) -> None:
        """Take back what set_pod_cidr left on the machine."""
        await asyncio.to_thread(self._remove)

    def _set_up(self, pod_cidr: str, conf_dir: Path, bin_dir: str) -> None:
        others = foreign(conf_dir)
        self._others = bool(others)
        if others:
            log.info("CNI is configured by somebody else files=%s", ", ".join(others))
            self._remove()
            return
        missing = [name for name in PLUGINS if bin_dir and not (Path(bin_dir) / name).exists()]
        if missing:
            raise OSError(
                f"CNI plugins are not in {bin_dir}: {', '.join(missing)}; Debian has them in containernetworking-plugins, "
                "below /usr/lib/cni"
            )
        firewall.apply(self._cluster_cidr, _HOST_ENDS, {})
        target = conf_dir / FILE
        self._directory.mkdir(parents=True, exist_ok=True)
        _note(self._directory).write_text(str(target))
        conf_dir.mkdir(parents=True, exist_ok=True)
        text = json.dumps(conflist(pod_cidr, str(self._directory / "cni"), _mtu(self._address)), indent=2) + "\n"
        if not target.exists() or target.read_text() != text:
            # Written beside and renamed: the runtime watches the directory.
            fresh = target.with_name(f".{FILE}.new")
            fresh.write_text(text)
            os.replace(fresh, target)

    def _remove(self) -> None:
        if _note(self._directory).exists():
            Path(_note(self._directory).read_text()).unlink(missing_ok=True)
            _note(self._directory).unlink()
        firewall.remove()


def is_ours(directory: Path) -> bool:
    """Whether the pods of the node with that directory are wired by our configuration."""
    return _note(directory).exists()


def _note(directory: Path) -> Path:
    """Says where the configuration was written."""
    return directory / "cni-conflist"


def _mtu(address: str) -> int:
    with Netlink() as netlink:
        return overlay.pod_mtu(netlink, address)


def conflist(pod_cidr: str, data_dir: str, mtu: int) -> dict[str, Any]:
    """The network configuration list. Source: CNI specification 0.4.0."""
    ipam = {
        "type": "host-local",
        "dataDir": data_dir,
        "ranges": [[{"subnet": pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [{"type": "ptp", "ipam": ipam, "mtu": mtu}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return {"cniVersion": "0.4.0", "name": NETWORK, "plugins": plugins}


def foreign(conf_dir: Path) -> list[str]:
    """Configurations that are not ours."""
    if not conf_dir.is_dir():
        return []
    return sorted(each.name for each in conf_dir.iterdir() if each.suffix in _KINDS and each.name != FILE)
