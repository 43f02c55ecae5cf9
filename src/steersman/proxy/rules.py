"""From ServicePorts to the contents of the nftables table `kube-proxy`, and from two contents to the script between them.

Pure. A Table is chains (rules as text), maps and sets (elements as text); base chains are fixed. `difference` touches only what
changed, so a sync with nothing new is empty and a change costs what it changes. Endpoints are taken in turn (`numgen inc`),
which is even at any number of requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from steersman.proxy.services import Endpoint, ServicePort

TABLE = "kube-proxy"
_MARK = "0x4000"


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Ranges and addresses that shape the rules. `node_ips`: where node ports are answered."""

    cluster_cidr: str
    service_cidr: str
    node_ips: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """Variable content: chain -> rules, map/set -> element -> value ('' in sets), affinity set -> timeout in seconds."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=dict)
    affinity_sets: dict[str, int] = field(default_factory=dict)

    def put(self, collection: str, element: str, value: str = "") -> None:
        self.elements.setdefault(collection, {})[element] = value


def base(config: ProxyConfig) -> str:
    """The table anew, with its fixed chains, empty maps and sets.

    What connection tracking calls invalid is dropped: nobody translates its addresses, so a client would get answers of a
    connection from somebody it does not know, and end it.
    """
    return f"""add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map service-nodeports {{ type inet_proto . inet_service : verdict; }}
  map no-endpoint-services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; }}
  map firewall-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  set hairpin-connections {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service; }}
  set cluster-ips {{ type ipv4_addr; }}
  set nodeport-ips {{ type ipv4_addr; elements = {{ {", ".join(config.node_ips)} }}; }}
  chain mark-for-masquerade {{ meta mark set meta mark or {_MARK}; }}
  chain reject-chain {{ reject; }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
    ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }}
  chain no-endpoints {{
    ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
  }}
  chain cluster-ips-check {{
    ip daddr @cluster-ips reject
    ip daddr {config.service_cidr} drop
  }}
  chain firewall {{ type filter hook prerouting priority dstnat - 10; policy accept;
    ct state new ip daddr . meta l4proto . th dport vmap @firewall-ips
  }}
  chain firewall-own {{ type filter hook output priority -110; policy accept;
    ct state new ip daddr . meta l4proto . th dport vmap @firewall-ips
  }}
  chain nat-prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump services; }}
  chain nat-output {{ type nat hook output priority -100; policy accept; jump services; }}
  chain nat-postrouting {{ type nat hook postrouting priority srcnat; policy accept;
    meta mark & {_MARK} != 0 meta mark set meta mark xor {_MARK} masquerade fully-random
    ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random
  }}
  chain filter-input {{ type filter hook input priority -110; policy accept; ct state new jump no-endpoints; }}
  chain filter-forward {{ type filter hook forward priority -110; policy accept;
    ct state invalid drop
    ct state new jump no-endpoints
    ct state new jump cluster-ips-check
  }}
  chain filter-output {{ type filter hook output priority 0; policy accept;
    ct state new jump no-endpoints
    ct state new jump cluster-ips-check
  }}
}}
"""


def table(ports: Iterable[ServicePort], config: ProxyConfig) -> Table:
    """What the ports need."""
    made = Table()
    hairpins: set[tuple[str, str, int]] = set()
    for port in ports:
        _add_port(made, port, config)
        hairpins |= {(each.ip, port.protocol, each.port) for each in port.cluster + port.local if each.local}
    for ip, protocol, number in hairpins:
        made.put("hairpin-connections", f"{ip} . {ip} . {protocol} . {number}")
    return made


def _add_port(made: Table, port: ServicePort, config: ProxyConfig) -> None:
    name = _chain_name("svc", port.id)
    for ip in port.cluster_ips:
        made.put("cluster-ips", ip)
    if port.cluster:
        made.chains[name] = _balance(made, port, port.cluster, name, _masquerade_outsiders(port, config))
    local = _chain_name("loc", port.id)
    uses_local = port.internal_local or port.external_local
    if uses_local and port.local:
        made.chains[local] = _balance(made, port, port.local, local, ())
    inner = local if port.internal_local else name
    _route_cluster_ips(made, port, inner)
    _route_external(made, port, name, local, config)


def _route_cluster_ips(made: Table, port: ServicePort, inner: str) -> None:
    endpoints = port.local if port.internal_local else port.cluster
    for ip in port.cluster_ips:
        key = f"{ip} . {port.protocol} . {port.port}"
        if endpoints:
            made.put("service-ips", key, f"goto {inner}")
        else:
            made.put("no-endpoint-services", key, "drop" if port.any_endpoint else "goto reject-chain")


def _route_external(made: Table, port: ServicePort, name: str, local: str, config: ProxyConfig) -> None:
    addresses = port.external_ips + port.balancer_ips
    if not addresses and not port.node_port:
        return
    keys = [f"{ip} . {port.protocol} . {port.port}" for ip in addresses]
    node_key = f"{port.protocol} . {port.node_port}"
    outer = _chain_name("ext", port.id)
    if port.any_endpoint:
        made.chains[outer] = _external_rules(port, name, local, config)
    for key in keys:
        if port.any_endpoint:
            made.put("service-ips", key, f"goto {outer}")
        else:
            made.put("no-endpoint-services", key, "goto reject-chain")
    if port.node_port:
        if port.any_endpoint:
            made.put("service-nodeports", node_key, f"goto {outer}")
        else:
            made.put("no-endpoint-nodeports", node_key, "goto reject-chain")
    if port.source_ranges and "0.0.0.0/0" not in port.source_ranges:
        guard = _chain_name("fw", port.id)
        made.chains[guard] = (f"ip saddr != {{ {', '.join(port.source_ranges)} }} drop",)
        for ip in port.balancer_ips:
            made.put("firewall-ips", f"{ip} . {port.protocol} . {port.port}", f"goto {guard}")


def _external_rules(port: ServicePort, name: str, local: str, config: ProxyConfig) -> tuple[str, ...]:
    if not port.external_local:
        return ("jump mark-for-masquerade", f"goto {name}")
    rules: list[str] = []
    if port.cluster:
        rules.append(f"ip saddr {config.cluster_cidr} goto {name}")
        rules.append("fib saddr type local jump mark-for-masquerade")
        rules.append(f"fib saddr type local goto {name}")
    rules.append(f"goto {local}" if port.local else "drop")
    return tuple(rules)


def _masquerade_outsiders(port: ServicePort, config: ProxyConfig) -> tuple[str, ...]:
    if not port.cluster_ips:
        return ()
    addresses = ", ".join(port.cluster_ips)
    return (f"ip daddr {{ {addresses} }} ip saddr != {config.cluster_cidr} jump mark-for-masquerade",)


def _balance(made: Table, port: ServicePort, endpoints: Sequence[Endpoint], name: str, lead: tuple[str, ...]) -> tuple[str, ...]:
    """Rules that send a connection to one of the endpoints, in turn."""
    if port.affinity_s:
        return lead + _sticky(made, port, endpoints, name)
    if len(endpoints) == 1:
        only = endpoints[0]
        return (*lead, f"meta l4proto {port.protocol} dnat ip to {only.ip}:{only.port}")
    choices = ", ".join(f"{number} : {each.ip} . {each.port}" for number, each in enumerate(endpoints))
    turn = f"numgen inc mod {len(endpoints)} map {{ {choices} }}"
    return (*lead, f"meta l4proto {port.protocol} dnat ip addr . port to {turn}")


def _sticky(made: Table, port: ServicePort, endpoints: Sequence[Endpoint], name: str) -> tuple[str, ...]:
    """ClientIP affinity: each endpoint remembers its clients for a while."""
    known: list[str] = []
    choices: list[str] = []
    for number, each in enumerate(endpoints):
        chain = _chain_name("ep", f"{port.id}/{name}/{each.ip}:{each.port}")
        # A set's timeout can't be changed: another timeout is another set.
        clients = f"aff-{chain}-{port.affinity_s}"
        made.affinity_sets[clients] = port.affinity_s
        made.chains[chain] = (
            f"update @{clients} {{ ip saddr }}",
            f"meta l4proto {port.protocol} dnat ip to {each.ip}:{each.port}",
        )
        known.append(f"ip saddr @{clients} goto {chain}")
        choices.append(f"{number} : goto {chain}")
    return (*known, f"numgen inc mod {len(endpoints)} vmap {{ {', '.join(choices)} }}")


def _chain_name(kind: str, identity: str) -> str:
    return f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def difference(old: Table, new: Table) -> str:
    """An nft script that turns old into new, in one transaction; empty if they are equal."""
    lines: list[str] = []
    for name, timeout_s in new.affinity_sets.items():
        if old.affinity_sets.get(name) is None:
            lines.append(f"add set ip {TABLE} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {timeout_s}s; }}")
    changed = [name for name, rules in new.chains.items() if old.chains.get(name) != rules]
    # Chains may go to one another, so all exist before any gets its rules.
    lines += [f"add chain ip {TABLE} {name}" for name in changed]
    for name in changed:
        lines.append(f"flush chain ip {TABLE} {name}")
        lines += [f"add rule ip {TABLE} {name} {rule}" for rule in new.chains[name]]
    for collection in sorted({*old.elements, *new.elements}):
        lines += _element_changes(collection, old.elements.get(collection, {}), new.elements.get(collection, {}))
    gone = [name for name in old.chains if name not in new.chains]
    lines += [f"flush chain ip {TABLE} {name}" for name in gone]
    lines += [f"delete chain ip {TABLE} {name}" for name in gone]
    lines += [f"delete set ip {TABLE} {name}" for name in old.affinity_sets if name not in new.affinity_sets]
    return "".join(line + "\n" for line in lines)


def _element_changes(collection: str, old: dict[str, str], new: dict[str, str]) -> Iterable[str]:
    def text(element: str, value: str) -> str:
        return f"{element} : {value}" if value else element

    removed = [key for key, value in old.items() if new.get(key) != value]
    added = [key for key, value in new.items() if old.get(key) != value]
    if removed:
        joined = ", ".join(text(key, old[key]) for key in removed)
        yield f"delete element ip {TABLE} {collection} {{ {joined} }}"
    if added:
        joined = ", ".join(text(key, new[key]) for key in added)
        yield f"add element ip {TABLE} {collection} {{ {joined} }}"
