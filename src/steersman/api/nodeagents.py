"""What works on a node beside its kubelet, and as whom: service accounts whose tokens the node's kubelet asks for.

A token is bound to the node's Node object, so it is worth nothing once that is deleted. The NodeRestriction admission plugin
lets kubelets ask for tokens of these accounts only; a role says which nodes may (cluster/bootstrapping.py).
"""

from __future__ import annotations

NAMESPACE = "kube-system"
PROXY = "kube-proxy"
"""Reads Services, EndpointSlices and Nodes: the service proxy, and the routes to other nodes' pods."""
DNS = "node-dns"
"""Reads Services, EndpointSlices and Namespaces."""
ACCOUNTS = (PROXY, DNS)

DNS_PORT = "dns.steersman.io/port"
"""Annotation of a Node: cluster DNS is answered on that port of its internal address (controllers/nodedns.py)."""
POOL_LABEL = "steersman.io/pool"
"""Label of a Node: the pool it joined, which its role is named after (cloud/local)."""
CONTROL_ROLES = frozenset(("control-plane", "master"))
"""Roles that no pool can give."""
