"""The node's own nftables: masquerading of pod traffic that leaves the cluster, and host ports. One transaction per change.

Services are the proxy's (its table is `kube-proxy`); this table is `steersman-pods`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TABLE = "steersman-pods"
_LIMIT_S = 30


class HostPort(NamedTuple):
    """A port of the node that leads to a pod. `host_ip` '' or 0.0.0.0 = every address of the node."""

    protocol: str
    host_ip: str
    host_port: int
    pod_ip: str
    container_port: int


def ruleset(cluster_cidr: str, bridge: str, host_ports: Mapping[str, tuple[HostPort, ...]]) -> str:
    """The whole table as nft input. Replaces what was there."""
    redirects: list[str] = []
    for ports in host_ports.values():
        for port in ports:
            where = f"ip daddr {port.host_ip} " if port.host_ip not in ("", "0.0.0.0") else "fib daddr type local "
            match = f"{where}{port.protocol} dport {port.host_port}"
            redirects.append(f"    {match} dnat ip to {port.pod_ip}:{port.container_port}")
    dnat = "\n".join(redirects)
    # A pod that reaches itself by the node's port: it would answer itself directly, from an address it did not ask.
    own = ", ".join(f"{ip} . {ip}" for ip in sorted({port.pod_ip for ports in host_ports.values() for port in ports}))
    hairpin = f"ip saddr . ip daddr {{ {own} }} masquerade" if own else ""
    return f"""table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  chain hostports {{
{dnat}
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat + 1; policy accept;
    jump hostports
  }}
  chain output {{
    type nat hook output priority -99; policy accept;
    jump hostports
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat + 1; policy accept;
    ip saddr {cluster_cidr} ip daddr != {{ {cluster_cidr}, 224.0.0.0/4 }} oifname != "{bridge}" masquerade
    ip saddr 127.0.0.0/8 oifname "{bridge}" masquerade
    {hairpin}
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{bridge}" ip daddr 127.0.0.0/8 ct state != {{ established, related }} drop
  }}
}}
"""


def apply(cluster_cidr: str, bridge: str, host_ports: Mapping[str, tuple[HostPort, ...]]) -> None:
    """Raises OSError with nft's own words."""
    _nft(ruleset(cluster_cidr, bridge, host_ports))


def remove() -> None:
    _nft(f"table ip {TABLE}\ndelete table ip {TABLE}\n")


def load(path: Path) -> dict[str, tuple[HostPort, ...]]:
    """What `save` wrote; empty if there is nothing readable."""
    try:
        body = json.loads(path.read_text())
        return {owner: tuple(HostPort(*port) for port in ports) for owner, ports in body.items()}
    except (OSError, ValueError, TypeError):
        return {}


def save(path: Path, host_ports: Mapping[str, tuple[HostPort, ...]]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(host_ports))
    os.replace(fresh, path)


def _nft(script: str) -> None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script.encode(), capture_output=True, check=False, timeout=_LIMIT_S)
    except FileNotFoundError:
        raise OSError("nft is not installed: apt-get install nftables") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"nft did not end within {_LIMIT_S} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(f"nft refused the rules: {lines[0] if lines else f'exit code {done.returncode}'}")
